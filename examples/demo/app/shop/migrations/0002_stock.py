"""Fill the shop: 20 authors, 200 books, 5000 orders of 500 readers."""

from django.db import migrations

AUTHORS = ["Ada O'Brien", 'Zoë "Z" Müller', "Камю", "川端 康成", "back\\slash"]
NOTES = [
    "",
    "gift wrap, please",
    'it\'s "urgent"',
    "two\nlines\tand a tab",
    "日本語 · ünïcode · 📚",
]
ORDERS = """
INSERT INTO orders (book_id, receipt, email, status, note)
SELECT (SELECT min(id) FROM books) + n %% 200, nextval('receipts'),
       -- Every 100th reader types the same address with a capital letter.
       CASE WHEN n %% 100 = 0 THEN 'R' ELSE 'r' END || 'eader' || n / 2 %% 500 || '@example.org',
       CASE WHEN n %% 8 = 0 THEN 'cancelled' ELSE 'sent' END,
       (%s::text[])[1 + n %% 5]
FROM generate_series(1, 5000) AS n
"""


def stock(apps, schema_editor) -> None:
    author, book = apps.get_model("shop", "Author"), apps.get_model("shop", "Book")
    authors = author.objects.bulk_create(
        author(name=f"{AUTHORS[n % 5]} {n // 5 + 1}") for n in range(20)
    )
    book.objects.bulk_create(
        book(author=authors[n % 20], title=f"Volume {n} – «l'été»", price_cents=500 + 10 * n)
        for n in range(200)
    )
    with schema_editor.connection.cursor() as cursor:
        cursor.execute(ORDERS, [NOTES])


class Migration(migrations.Migration):
    dependencies = [("shop", "0001_initial")]
    operations = [migrations.RunPython(stock)]
