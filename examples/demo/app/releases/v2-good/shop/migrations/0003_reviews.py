"""Give every book a slug, and readers a place for reviews."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("shop", "0002_stock")]
    operations = [
        migrations.AddField("book", "slug", models.TextField(default="")),
        migrations.RunSQL("UPDATE books SET slug = 'volume-' || id", migrations.RunSQL.noop),
        migrations.CreateModel(
            "Review",
            [
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("book", models.ForeignKey(to="shop.book", on_delete=models.CASCADE)),
                ("stars", models.SmallIntegerField()),
            ],
            {"db_table": "reviews"},
        ),
    ]
