-- Give every book a slug, and readers a place for reviews.
ALTER TABLE books ADD COLUMN slug text NOT NULL DEFAULT '';
UPDATE books SET slug = 'volume-' || id;
CREATE TABLE reviews (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  book_id bigint NOT NULL REFERENCES books,
  stars smallint NOT NULL
);
