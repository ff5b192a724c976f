# frozen_string_literal: true

class CreateTags < ActiveRecord::Migration[7.2]
  def change
    create_table :tags do |t|
      t.references :discussion, null: false, foreign_key: true
      t.citext :name, null: false
    end
  end
end
