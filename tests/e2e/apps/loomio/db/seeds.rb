# frozen_string_literal: true

# A community: 50 people, 400 discussions, every 80th of them anonymous.
ActiveRecord::Base.connection.execute(<<~SQL)
  INSERT INTO users (email, name)
  SELECT CASE WHEN n % 7 = 0 THEN 'U' ELSE 'u' END || 'ser' || n || '@example.org',
    (ARRAY['Ada O''Brien', 'Zoë "Z" Müller', 'Камю', '川端 康成', 'back\\slash'])[1 + n % 5] || ' ' || n
  FROM generate_series(1, 50) AS n;
  INSERT INTO discussions (author_id, title, description, anonymous)
  SELECT n % 50 + 1, 'Shall we – «' || n || '»?', E'two\\nlines\\tand a tab · 📚', n % 80 = 0
  FROM generate_series(1, 400) AS n;
  INSERT INTO translations (discussion_id, fields)
  SELECT id, hstore('title', 'Sollen wir – „' || id || '“?') FROM discussions WHERE id % 4 = 0;
SQL
