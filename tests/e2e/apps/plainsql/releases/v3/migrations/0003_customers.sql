-- Give the customers a table of their own. The orders keep what they have.
BEGIN;
CREATE TABLE customers (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, email text NOT NULL UNIQUE);
ALTER TABLE orders ADD COLUMN customer_id bigint;
INSERT INTO customers (email) SELECT DISTINCT lower(email) FROM orders;
UPDATE orders SET customer_id = c.id FROM customers c WHERE c.email = lower(orders.email);
ALTER TABLE orders ADD FOREIGN KEY (customer_id) REFERENCES customers;
COMMIT;
