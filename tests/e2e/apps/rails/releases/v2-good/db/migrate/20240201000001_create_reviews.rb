# frozen_string_literal: true

# Give every book a slug, and readers a place for reviews.
class CreateReviews < ActiveRecord::Migration[7.2]
  def change
    add_column :books, :slug, :text, null: false, default: ""
    execute "UPDATE books SET slug = 'volume-' || id"
    create_table :reviews do |t|
      t.references :book, null: false, foreign_key: true
      t.integer :stars, null: false
    end
  end
end
