-- Fill the shop: 20 authors, 200 books, 5000 orders of 500 readers.
INSERT INTO authors (name)
SELECT (ARRAY['Ada O''Brien', 'Zoë "Z" Müller', 'Камю', '川端 康成', 'back\slash'])[1 + n % 5] || ' ' || n / 5 + 1
FROM generate_series(0, 19) AS n;

INSERT INTO books (author_id, title, price_cents)
SELECT n % 20 + 1, 'Volume ' || n || ' – «l''été»', 500 + 10 * n FROM generate_series(0, 199) AS n;

-- Every 100th reader types the same address with a capital letter.
INSERT INTO orders (book_id, email, status, note)
SELECT n % 200 + 1,
  CASE WHEN n % 100 = 0 THEN 'R' ELSE 'r' END || 'eader' || n / 2 % 500 || '@example.org',
  CASE WHEN n % 8 = 0 THEN 'cancelled' ELSE 'sent' END,
  (ARRAY['', 'gift wrap, please', 'it''s "urgent"', E'two\nlines\tand a tab', '日本語 · ünïcode · 📚'])[1 + n % 5]
FROM generate_series(1, 5000) AS n;
