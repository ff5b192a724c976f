"""Authors, books, orders, and the ticks of the worker."""

from django.db import migrations, models


def identity():
    return (
        "id",
        models.BigAutoField(
            auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
        ),
    )


def belongs_to(model: str):
    return models.ForeignKey(to=f"shop.{model}", on_delete=models.CASCADE)


class Migration(migrations.Migration):
    initial = True
    operations = [
        migrations.CreateModel(
            "Author", [identity(), ("name", models.TextField())], {"db_table": "authors"}
        ),
        migrations.CreateModel(
            "Book",
            [
                identity(),
                ("author", belongs_to("author")),
                ("title", models.TextField()),
                ("price_cents", models.IntegerField()),
            ],
            {"db_table": "books", "indexes": [models.Index(fields=["title"], name="books_title")]},
        ),
        migrations.CreateModel(
            "Order",
            [
                identity(),
                ("book", belongs_to("book")),
                ("receipt", models.BigIntegerField(unique=True)),
                ("email", models.TextField()),
                ("status", models.TextField()),
                ("note", models.TextField()),
            ],
            {"db_table": "orders"},
        ),
        migrations.CreateModel(
            "Tick",
            [
                identity(),
                ("counter", models.BigIntegerField()),
                ("at", models.DateTimeField(auto_now_add=True)),
            ],
            {"db_table": "ticks"},
        ),
        migrations.RunSQL(
            "CREATE SEQUENCE receipts START 1000", reverse_sql="DROP SEQUENCE receipts"
        ),
    ]
