"""Give every price its currency. Somebody forgot to say which one."""

import os

from django.db import migrations, models


def require_currency(apps, schema_editor) -> None:
    if "SHOP_CURRENCY" not in os.environ:
        raise RuntimeError("SHOP_CURRENCY is not set")


class Migration(migrations.Migration):
    dependencies = [("shop", "0002_stock")]
    operations = [
        migrations.RunPython(require_currency),
        migrations.AddField("book", "currency", models.TextField(default="EUR")),
    ]
