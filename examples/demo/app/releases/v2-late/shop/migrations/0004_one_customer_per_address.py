"""One customer an address. Fails: some addresses differ only by a capital letter."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("shop", "0003_customers")]
    operations = [
        migrations.RunSQL("CREATE UNIQUE INDEX one_customer ON customers (lower(email))"),
    ]
