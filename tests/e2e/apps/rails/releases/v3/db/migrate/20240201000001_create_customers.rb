# frozen_string_literal: true

# Give the customers a table of their own. The orders keep what they have.
class CreateCustomers < ActiveRecord::Migration[7.2]
  def change
    create_table(:customers) { |t| t.text :email, null: false, index: { unique: true } }
    add_reference :orders, :customer
    execute "INSERT INTO customers (email) SELECT DISTINCT lower(email) FROM orders"
    execute "UPDATE orders SET customer_id = c.id FROM customers c WHERE c.email = lower(orders.email)"
    add_foreign_key :orders, :customers
  end
end
