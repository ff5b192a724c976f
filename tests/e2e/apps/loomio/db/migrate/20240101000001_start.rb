# frozen_string_literal: true

# Everything that is older than the schema: it can't be migrated to from nothing, as in Loomio.
class Start < ActiveRecord::Migration[7.2]
  def up
    raise "an empty database gets the schema, not the migrations"
  end
end
