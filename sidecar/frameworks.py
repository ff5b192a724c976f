"""
The frameworks of apps that bring their own migrations, as values. Pure.

Commands are those that work in most images of an app. Where the command depends on the app,
``migrate`` is None and ``hint`` says what to set; where only a file tells, the preset has variants
with that file as their sign.
"""

from dataclasses import replace

from sidecar.preset_types import DESTROYS, PRETENDS, UNDOES, Check, Ledger, Preset

_PYTHON_MANAGE = ("python", "manage.py")

RAILS = Preset(
    name="rails",
    title="Rails",
    ledger=Ledger("schema_migrations", ("version",), beside="ar_internal_metadata", exact=True),
    migrate=("bin/rails", "db:migrate"),
    check=Check(("bin/rails", "db:abort_if_pending_migrations"), pending=frozenset({1})),
    signs=("bin/rails", "config/application.rb"),
    refused=(
        ("db:drop", DESTROYS),
        ("db:reset", DESTROYS),
        ("db:setup", DESTROYS),
        ("db:schema:load", DESTROYS),
        ("db:migrate:reset", DESTROYS),
    ),
    caution="Rails keeps the migrations that ran before the one that failed.",
)

ALEMBIC = Preset(
    name="alembic",
    title="Alembic",
    ledger=Ledger("alembic_version", ("version_num",), moves=True),
    migrate=("alembic", "upgrade", "head"),
    # from 1.17.1; older ones exit with 2, which is no answer
    check=Check(("alembic", "current", "--check-heads"), pending=frozenset({255})),
    signs=("alembic.ini",),
    refused=(("stamp", PRETENDS), ("downgrade", UNDOES)),
    caution="Alembic commits what ran before an autocommit block, and can't repeat it.",
)

FLASK_MIGRATE = replace(
    ALEMBIC,
    name="flask-migrate",
    title="Flask-Migrate",
    variant_of="alembic",
    migrate=("flask", "db", "upgrade"),
    check=Check(("flask", "db", "current"), none_text=r"\(head\)"),
    signs=("migrations/alembic.ini",),
)

DJANGO = Preset(
    name="django",
    title="Django",
    ledger=Ledger("django_migrations", ("app", "name"), columns=("applied",)),
    migrate=(*_PYTHON_MANAGE, "migrate", "--noinput"),
    # 1 is also the code of a database that is down, and of an app that does not boot
    check=Check((*_PYTHON_MANAGE, "migrate", "--check"), pending=frozenset({1})),
    signs=("manage.py",),
    refused=(("flush", DESTROYS), ("reset_db", DESTROYS), ("--fake", PRETENDS)),
    caution="Django keeps the migrations that ran before the one that failed.",
)

LARAVEL = Preset(
    name="laravel",
    title="Laravel",
    ledger=Ledger("migrations", ("migration",), columns=("batch",)),
    migrate=("php", "artisan", "migrate", "--force", "--no-interaction"),
    check=Check(
        # older releases ignore the number: there the list tells
        ("php", "artisan", "migrate:status", "--pending=42"),
        pending=frozenset({42}),
        pending_text=r"\bPending\s*$",
        none_text=r"No pending migrations",
    ),
    signs=("artisan",),
    refused=(
        ("--graceful", "makes a failed migration exit with 0"),
        ("--isolated", "exits with 0 without migrating while it is locked: say --isolated=75"),
        ("--isolated=0", "exits with 0 without migrating while it is locked: say --isolated=75"),
        ("migrate:fresh", DESTROYS),
        ("migrate:refresh", DESTROYS),
        ("migrate:reset", DESTROYS),
        ("db:wipe", DESTROYS),
    ),
    caution="Laravel records a migration after its transaction: it may have run unrecorded.",
)

DOCTRINE = Preset(
    name="doctrine",
    title="Doctrine",
    ledger=Ledger(
        "doctrine_migration_versions", ("version",), columns=("executed_at", "execution_time")
    ),
    migrate=("php", "bin/console", "doctrine:migrations:migrate", "-n", "--allow-no-migration"),
    check=Check(
        ("php", "bin/console", "doctrine:migrations:up-to-date", "-n"), pending=frozenset({1})
    ),
    signs=("bin/console", "config/packages/doctrine_migrations.yaml"),
    refused=(("doctrine:database:drop", DESTROYS), ("doctrine:schema:drop", DESTROYS)),
    caution="Doctrine keeps the migrations that ran before the one that failed.",
)

ECTO = Preset(
    name="ecto",
    title="Ecto",
    ledger=Ledger("schema_migrations", ("version",), columns=("inserted_at",), exact=True),
    migrate=None,
    refused=(("ecto.drop", DESTROYS), ("ecto.reset", DESTROYS)),
    caution="Ecto keeps the migrations that ran before the one that failed.",
    hint="Set MIGSAFE_MIGRATE, such as `bin/app eval App.Release.migrate`.",
)

PHOENIX = replace(
    ECTO,
    name="phoenix",
    title="Phoenix (Ecto)",
    variant_of="ecto",
    # the script that `mix phx.gen.release` lays over a release
    migrate=("bin/migrate",),
    signs=("bin/migrate", "releases/COOKIE"),
    hint="",
)

MIX = replace(
    ECTO,
    name="mix",
    title="Mix (Ecto)",
    variant_of="ecto",
    migrate=("mix", "ecto.migrate"),
    check=Check(
        ("mix", "ecto.migrations"),
        pending_text=r"^\s+down\s+\d",
        none_text=r"^\s+up\s+\d",
    ),
    signs=("mix.exs", "priv/repo/migrations/.formatter.exs"),
    hint="",
)

EFCORE = Preset(
    name="efcore",
    title="EF Core",
    ledger=Ledger("__EFMigrationsHistory", ("MigrationId",), columns=("ProductVersion",)),
    migrate=None,
    refused=(("database drop", DESTROYS),),
    caution="EF Core keeps the migrations that ran before the one that failed.",
    hint="Put a migration bundle into the image, and set MIGSAFE_MIGRATE to `./efbundle`.",
)

EFBUNDLE = replace(
    EFCORE,
    name="efbundle",
    title="EF Core bundle",
    variant_of="efcore",
    migrate=("./efbundle",),
    signs=("efbundle",),
    hint="",
)

EFCORE_SNAKE = replace(
    EFCORE,
    name="efcore-snake",
    title="EF Core (snake case)",
    variant_of="efcore",
    ledger=Ledger("__EFMigrationsHistory", ("migration_id",), columns=("product_version",)),
)

FRAMEWORKS = (
    RAILS,
    ALEMBIC,
    FLASK_MIGRATE,  # before Django: Flask apps may have a manage.py too
    DJANGO,
    LARAVEL,
    DOCTRINE,
    ECTO,
    PHOENIX,
    MIX,
    EFCORE,
    EFBUNDLE,
    EFCORE_SNAKE,
)
"""In the order in which an app's files are looked for."""
