# frozen_string_literal: true

# Authors, books and orders.
class CreateShop < ActiveRecord::Migration[7.2]
  def change
    create_table(:authors) { |t| t.text :name, null: false }
    create_table :books do |t|
      t.references :author, null: false, foreign_key: true
      t.text :title, null: false, index: { name: "books_title" }
      t.integer :price_cents, null: false
    end
    create_table :orders do |t|
      t.references :book, null: false, foreign_key: true
      t.bigint :receipt, null: false, index: { unique: true }
      t.text :email, :status, :note, null: false
    end
    execute "CREATE SEQUENCE receipts START 1000"
  end
end
