-- Authors, books and orders.
CREATE TABLE authors (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  name text NOT NULL
);
CREATE TABLE books (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  author_id bigint NOT NULL REFERENCES authors,
  title text NOT NULL,
  price_cents integer NOT NULL
);
CREATE INDEX books_title ON books (title);
CREATE SEQUENCE receipts START 1000;
CREATE TABLE orders (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  book_id bigint NOT NULL REFERENCES books,
  receipt bigint NOT NULL UNIQUE DEFAULT nextval('receipts'),
  email text NOT NULL,
  status text NOT NULL,
  note text NOT NULL
);
