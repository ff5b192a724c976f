-- Give every price its currency. Fails at once: there is no such table.
ALTER TABLE book ADD COLUMN currency text NOT NULL DEFAULT 'EUR';
