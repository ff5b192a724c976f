# frozen_string_literal: true

# With Loomio's extensions, and what its tables make of them.
ActiveRecord::Schema[7.2].define(version: 2024_01_01_000001) do
  %w[citext hstore pg_stat_statements pgcrypto plpgsql].each { |name| enable_extension name }

  create_table :users do |t|
    t.citext :email, null: false, index: { unique: true }
    t.string :name, null: false
    t.string :key, default: -> { "public.gen_random_uuid()" }, null: false
  end

  create_table :discussions do |t|
    t.references :author, null: false, foreign_key: { to_table: :users }
    t.string :title, null: false, index: true
    t.text :description, null: false
    t.boolean :anonymous, default: false, null: false
  end

  create_table :translations do |t|
    t.references :discussion, null: false, foreign_key: true
    t.hstore :fields, null: false
  end

  create_table :events do |t|
    t.string :kind, null: false
    t.datetime :created_at, default: -> { "now()" }, null: false
  end
end
