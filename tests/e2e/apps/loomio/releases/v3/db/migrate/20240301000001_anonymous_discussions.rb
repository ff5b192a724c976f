# frozen_string_literal: true

class AnonymousDiscussions < ActiveRecord::Migration[7.2]
  def up
    create_table(:anonymous_discussions) { |t| t.references :discussion, null: false, foreign_key: true }
    execute "INSERT INTO anonymous_discussions (discussion_id) SELECT id FROM discussions WHERE anonymous"
  end
end
