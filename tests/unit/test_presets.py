"""Presets: frameworks are told apart by their ledgers, files and names."""

import re
from collections.abc import Callable, Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.presets import (
    ALIASES,
    GENERIC,
    PRESETS,
    TABLES,
    Check,
    Found,
    Ledger,
    Lock,
    Pending,
    Pieces,
    Preset,
    by_name,
    pieces,
    recognise,
    recognise_by_files,
    refine,
    refused_flags,
)

Columns = dict[tuple[str, str], frozenset[str]]

# The tables as the tools create them, and what they are recognised as
LEDGERS: dict[str, dict[str, str]] = {
    "rails": {
        "schema_migrations": "version",
        "ar_internal_metadata": "key value created_at updated_at",
    },
    "alembic": {"alembic_version": "version_num"},
    "django": {"django_migrations": "id app name applied"},
    "laravel": {"migrations": "id migration batch"},
    "doctrine": {"doctrine_migration_versions": "version executed_at execution_time"},
    "ecto": {"schema_migrations": "version inserted_at"},
    "efcore": {"__EFMigrationsHistory": "MigrationId ProductVersion"},
    "efcore-snake": {"__EFMigrationsHistory": "migration_id product_version"},
    "prisma": {
        "_prisma_migrations": "id checksum finished_at migration_name logs rolled_back_at"
        " started_at applied_steps_count"
    },
    "knex": {
        "knex_migrations": "id name batch migration_time",
        "knex_migrations_lock": "index is_locked",
    },
    "sequelize": {"SequelizeMeta": "name"},
    "typeorm": {"migrations": "id timestamp name"},
    "flyway": {
        "flyway_schema_history": "installed_rank version description type script checksum"
        " installed_by installed_on execution_time success"
    },
    "liquibase": {
        "databasechangelog": "id author filename dateexecuted orderexecuted exectype md5sum"
        " description comments tag liquibase contexts labels deployment_id",
        "databasechangeloglock": "id locked lockgranted lockedby",
    },
    "dbmate": {"schema_migrations": "version"},
    "goose": {"goose_db_version": "id version_id is_applied tstamp"},
    "golang-migrate": {"schema_migrations": "version dirty"},
    "atlas": {
        "atlas_schema_revisions": "version description type applied total executed_at"
        " execution_time error error_stmt hash partial_hashes operator_version"
    },
    "sqlx": {
        "_sqlx_migrations": "version description installed_on success checksum execution_time"
    },
    "diesel": {"__diesel_schema_migrations": "version run_on"},
}

SIGNS: dict[str, tuple[str, ...]] = {
    "rails": ("bin/rails", "config/application.rb", "config.ru", "package.json"),
    "alembic": ("alembic.ini", "alembic/env.py"),
    "flask-migrate": ("manage.py", "migrations/alembic.ini"),
    "django": ("manage.py",),
    "laravel": ("artisan", "composer.json"),
    "doctrine": ("bin/console", "config/packages/doctrine_migrations.yaml"),
    "phoenix": ("bin/app", "bin/migrate", "releases/COOKIE"),
    "mix": ("mix.exs", "priv/repo/migrations/.formatter.exs"),
    "efbundle": ("app.dll", "efbundle"),
    "prisma": ("package.json", "prisma/migrations/migration_lock.toml"),
    "knex": ("knexfile.js",),
    "sequelize": (".sequelizerc",),
    "flyway": ("/flyway/flyway",),
    "liquibase": ("/liquibase/liquibase",),
    "dbmate": ("/usr/local/bin/dbmate",),
}

EVERY = pytest.mark.parametrize("preset", PRESETS, ids=lambda preset: str(preset.name))


def tables(ledger: dict[str, str], schema: str = "public") -> Columns:
    """Give the tables of one ledger as the catalog has them."""
    return {(schema, table): frozenset(columns.split()) for table, columns in ledger.items()}


def names(found: Iterable[Found]) -> list[str]:
    """Name the presets that were found."""
    return [one.preset.name for one in found]


def files(*there: str) -> Callable[[str], bool]:
    """Stand in for an image with these files."""
    return set(there).__contains__


class TestRecognise:
    """By the ledger in the database."""

    @pytest.mark.parametrize("name", LEDGERS)
    def test_every_real_ledger(self, name: str) -> None:
        """The table that a tool creates is recognised as that tool's, in any schema."""
        found = recognise(tables(LEDGERS[name], "app"))
        assert names(found) == [name]
        assert found[0].schema == "app"
        assert found[0].table in LEDGERS[name]

    def test_nothing(self) -> None:
        """A database without a ledger, or with the app's tables alone, has none."""
        assert recognise({}) == ()
        assert recognise(tables({"users": "id name", "version": "version"})) == ()

    @pytest.mark.parametrize(
        ("table", "columns"),
        [
            ("schema_migrations", "version applied_at"),
            ("schema_migrations", "filename"),
            ("schema_migrations", "version name statements"),
            ("migrations", "id name hash executed_at"),
            ("alembic_version", "version"),
            ("django_migrations", "id name"),
        ],
    )
    def test_home_made_tables(self, table: str, columns: str) -> None:
        """A table that only has a tool's name is not that tool's."""
        assert recognise(tables({table: columns})) == ()

    def test_metadata_of_another_schema(self) -> None:
        """Rails' metadata table makes a ledger Rails' only beside it."""
        apart = tables({"schema_migrations": "version"}) | tables(
            {"ar_internal_metadata": "key value"}, "other"
        )
        assert names(recognise(apart)) == ["dbmate"]

    def test_golang_migrate_beside_rails(self) -> None:
        """The columns decide before the neighbours do."""
        both = LEDGERS["rails"] | {"schema_migrations": "version dirty"}
        assert names(recognise(tables(both))) == ["golang-migrate"]

    def test_one_table_one_owner(self) -> None:
        """A table fits several presets, and is found once, as the most specific of them."""
        found = recognise(tables(LEDGERS["rails"]))
        assert [(one.preset.name, one.table) for one in found] == [("rails", "schema_migrations")]

    def test_several_ledgers(self) -> None:
        """Every ledger is found: other schemas, other tools, the same tool twice."""
        mixed = (
            tables(LEDGERS["rails"])
            | tables(LEDGERS["rails"], "archive")
            | tables(LEDGERS["ecto"], "realtime")
            | tables(LEDGERS["liquibase"])
        )
        found = [(one.preset.name, one.schema) for one in recognise(mixed)]
        assert found == [
            ("liquibase", "public"),
            ("rails", "public"),
            ("rails", "archive"),
            ("ecto", "realtime"),
        ]

    @given(st.permutations(sorted(LEDGERS)), st.permutations(["public", "app", "zoo"]))
    def test_order_does_not_matter(self, order: list[str], schemas: list[str]) -> None:
        """The same tables give the same answer, in whatever order they come."""
        pairs = [
            (key, columns)
            for name in order
            for schema in schemas
            for key, columns in tables(LEDGERS[name], f"{schema}_{name}").items()
        ]
        found = recognise(dict(pairs))
        assert found == recognise(dict(sorted(pairs)))
        assert len(found) == len(LEDGERS) * len(schemas)

    @pytest.mark.parametrize("name", ["knex", "liquibase"])
    def test_lock(self, name: str) -> None:
        """The lock is reported where its table exists, and only there."""
        everything = tables(LEDGERS[name])
        (found,) = recognise(everything)
        assert found.lock is not None
        assert ("public", found.lock.table) in everything
        assert found.lock == by_name(name).lock
        (without,) = recognise({("public", found.table): everything["public", found.table]})
        assert without.lock is None

    def test_columns_that_must_not_exist(self) -> None:
        """A ledger can rule columns out, and that makes it more specific."""
        plain, wary = Ledger("done", ("id",)), Ledger("done", ("id",), without=("hash",))
        assert wary.fits("public", tables({"done": "id name"}))
        assert not wary.fits("public", tables({"done": "id hash"}))
        assert plain.fits("public", tables({"done": "id hash"}))
        assert wary.specificity > plain.specificity

    def test_asks_for_its_tables(self) -> None:
        """Every table that recognition looks at is named for the catalog query."""
        used = {table for ledger in LEDGERS.values() for table in ledger}
        assert set(TABLES) == used
        assert sorted(TABLES) == list(TABLES)


class TestFiles:
    """By the app's files."""

    @pytest.mark.parametrize("name", SIGNS)
    def test_first_install(self, name: str) -> None:
        """Before there is a ledger, the files of an app betray its framework."""
        found = recognise_by_files(files(*SIGNS[name]))
        assert found is not None
        assert found.name == name

    def test_all_signs_are_needed(self) -> None:
        """Half of the signs is no sign, and no files are no framework."""
        assert recognise_by_files(files("bin/rails")) is None
        assert recognise_by_files(files("package.json", "Dockerfile")) is None
        assert recognise_by_files(files()) is None

    @pytest.mark.parametrize(
        ("ledger", "there", "expected"),
        [
            ("alembic", ("migrations/alembic.ini",), "flask-migrate"),
            ("alembic", ("alembic.ini", "migrations/alembic.ini"), "alembic"),
            ("alembic", (), "alembic"),
            ("alembic", ("manage.py",), "alembic"),
            ("ecto", ("bin/migrate", "releases/COOKIE"), "phoenix"),
            ("ecto", ("mix.exs", "priv/repo/migrations/.formatter.exs"), "mix"),
            ("ecto", ("bin/app",), "ecto"),
            ("efcore", ("efbundle",), "efbundle"),
            ("efcore-snake", ("efbundle",), "efbundle"),
            ("efcore-snake", (), "efcore-snake"),
            ("django", ("bin/rails", "config/application.rb"), "django"),
        ],
    )
    def test_refine(self, ledger: str, there: tuple[str, ...], expected: str) -> None:
        """Where several presets share a ledger, the files choose among those, and no others."""
        assert refine(by_name(ledger), files(*there)).name == expected

    def test_generic_stays_generic(self) -> None:
        """Refining what is not known does not make it known."""
        assert refine(GENERIC, files("manage.py")) == GENERIC


class TestNames:
    """By name."""

    @EVERY
    def test_own_name(self, preset: Preset) -> None:
        """Every preset answers to its name."""
        assert by_name(preset.name) == preset

    @pytest.mark.parametrize(
        ("name", "expected"),
        [
            ("generic", "generic"),
            (" Django ", "django"),
            ("Flask_Migrate", "flask-migrate"),
            ("Entity Framework", "efcore"),
            ("ef", "efcore"),
            ("migrate", "golang-migrate"),
            ("symfony", "doctrine"),
        ],
    )
    def test_as_people_write(self, name: str, expected: str) -> None:
        """Case, spaces, underscores and other names are understood."""
        assert by_name(name).name == expected

    def test_aliases_lead_somewhere(self) -> None:
        """No alias hides a preset or leads nowhere."""
        assert {by_name(alias).name for alias in ALIASES} <= {preset.name for preset in PRESETS}
        assert not set(ALIASES) & {preset.name for preset in PRESETS}

    @pytest.mark.parametrize(
        ("name", "nearest"), [("djano", "django"), ("sequelise", "sequelize"), ("entity", "entity")]
    )
    def test_nearest(self, name: str, nearest: str) -> None:
        """A slip of the keyboard is answered with what was meant."""
        with pytest.raises(ValueError, match=f"unknown preset {name!r}: did you mean '{nearest}"):
            by_name(name)

    @pytest.mark.parametrize("name", ["", "xyzzy!"])
    def test_nothing_near(self, name: str) -> None:
        """A name that resembles nothing is answered with those that exist."""
        with pytest.raises(ValueError, match=r"known are rails, alembic, .*, generic"):
            by_name(name)


class TestRefused:
    """Dangerous words in a migrate command."""

    @pytest.mark.parametrize(
        ("name", "command", "flags"),
        [
            ("laravel", "php artisan migrate --force --graceful", ["--graceful"]),
            ("laravel", "php artisan migrate --force --isolated", ["--isolated"]),
            ("laravel", "php artisan migrate --isolated=0", ["--isolated=0"]),
            ("laravel", "php artisan migrate:fresh --isolated", ["--isolated", "migrate:fresh"]),
            ("laravel", "php artisan migrate --force --isolated=75", []),
            ("django", "python manage.py migrate --fake", ["--fake"]),
            ("django", "python manage.py migrate --fake-initial", []),
            ("prisma", "npx prisma migrate reset --force", ["migrate reset"]),
            ("prisma", "npx prisma db push --accept-data-loss", ["--accept-data-loss"]),
            ("prisma", "npx prisma migrate deploy", []),
            ("efcore", "dotnet ef database --verbose drop", ["database drop"]),
            ("efcore", "dotnet ef drop database", []),
            ("rails", "bundle exec rake db:migrate", []),
            ("generic", "php artisan migrate --graceful", []),
        ],
    )
    def test_words(self, name: str, command: str, flags: list[str]) -> None:
        """Whole words count, in their order, as arguments and inside a shell's command."""
        for argv in (command.split(), ["sh", "-c", f"cd /app && ({command}); echo done"]):
            complaints = refused_flags(by_name(name), argv)
            assert [re.findall(r"^'(.*?)' \w", text) for text in complaints] == [
                [flag] for flag in flags
            ]

    @EVERY
    def test_own_command_is_welcome(self, preset: Preset) -> None:
        """No preset refuses its own command; each of its rules refuses something."""
        assert refused_flags(preset, preset.migrate or ()) == []
        for flag, why in preset.refused:
            assert f"{flag!r} {why}" in refused_flags(preset, ["tool", *flag.split()])


KNEX_SOME = (
    "Found 1 Completed Migration file/files.\n1.js \nFound 1 Pending Migration file/files.\n"
)
KNEX_NONE = "Found 1 Completed Migration file/files.\n1.js \nNo Pending Migration files Found.\n"
GOOSE_NONE = "Applied At        Migration\n=====\nSun Jan  6 11:25:03 2013 -- 001_basics.sql\n"
MIX_NONE = "Repo: A.Repo\n\n  Status    Migration ID    Migration Name\n  up        2018    one\n"


class TestCheck:
    """Reading the framework's own answer."""

    @pytest.mark.parametrize(
        ("name", "code", "output", "expected"),
        [
            ("rails", 0, "", Pending.NONE),
            ("rails", 1, "You have 1 pending migration:", Pending.SOME),
            ("rails", 127, "not found", Pending.UNKNOWN),
            ("django", 0, "", Pending.NONE),
            ("django", 1, "OperationalError: connection refused", Pending.SOME),
            ("django", 2, "", Pending.UNKNOWN),
            ("alembic", 0, "1a2b (head)", Pending.NONE),
            ("alembic", 255, "Database is not on all head revisions", Pending.SOME),
            ("alembic", 2, "unrecognized arguments: --check-heads", Pending.UNKNOWN),
            ("flask-migrate", 0, "d3d46f063fb7 (head)", Pending.NONE),
            ("flask-migrate", 0, "d3d46f063fb7", Pending.UNKNOWN),
            ("flask-migrate", 0, "", Pending.UNKNOWN),
            ("flyway", 0, "Successfully validated 2 migrations", Pending.NONE),
            ("flyway", 1, "Detected resolved migration not applied", Pending.SOME),
            ("flyway", 35, "licence", Pending.UNKNOWN),
            ("liquibase", 0, "app@jdbc:postgresql://db/app is up to date", Pending.NONE),
            ("liquibase", 0, "1 changeset has not been applied to app@jdbc", Pending.SOME),
            ("liquibase", 0, "2 changesets have not been applied to app@jdbc", Pending.SOME),
            ("liquibase", 0, "", Pending.UNKNOWN),
            ("liquibase", 1, "is up to date", Pending.UNKNOWN),
            ("prisma", 0, "Database schema is up to date!", Pending.NONE),
            ("prisma", 1, "Following migration have not yet been applied:", Pending.SOME),
            ("laravel", 0, "  INFO  No pending migrations.", Pending.NONE),
            ("laravel", 42, "  2024_one ...... Pending", Pending.SOME),
            ("laravel", 0, "  2024_one ...... Pending\n", Pending.SOME),
            ("laravel", 1, "ERROR  Migration table not found.", Pending.UNKNOWN),
            ("dbmate", 0, "Applied: 2\nPending: 0", Pending.NONE),
            ("dbmate", 1, "Applied: 1\nPending: 1", Pending.SOME),
            ("dbmate", 2, "unable to connect", Pending.UNKNOWN),
            ("goose", 0, GOOSE_NONE, Pending.NONE),
            ("goose", 0, GOOSE_NONE + "Pending                  -- 002_next.go\n", Pending.SOME),
            ("goose", 0, "", Pending.UNKNOWN),
            ("knex", 0, KNEX_NONE, Pending.NONE),
            ("knex", 0, KNEX_SOME, Pending.SOME),
            ("knex", 0, "\x1b[32mFound 2 Pending Migration file/files.\x1b[39m", Pending.SOME),
            ("knex", 1, KNEX_NONE, Pending.UNKNOWN),
            ("sequelize", 0, "Loaded configuration\nup 1-one.js\n", Pending.NONE),
            ("sequelize", 0, "up 1-one.js\ndown 2-two.js\n", Pending.SOME),
            ("sequelize", 0, "Sequelize CLI", Pending.UNKNOWN),
            ("doctrine", 0, "[OK] Up-to-date! No migrations to execute.", Pending.NONE),
            ("doctrine", 1, "[ERROR] Out-of-date! 1 migration is available", Pending.SOME),
            ("mix", 0, MIX_NONE, Pending.NONE),
            ("mix", 0, MIX_NONE + "  down      2019    two\n", Pending.SOME),
            ("mix", 1, "** (Mix) Could not start repo", Pending.UNKNOWN),
        ],
    )
    def test_verdict(self, name: str, code: int, output: str, expected: Pending) -> None:
        """What the tool says is understood; what is not an answer is not NONE."""
        check = by_name(name).check
        assert check is not None
        assert check.verdict(code, output) is expected

    @given(st.integers(-255, 255), st.text())
    def test_only_certain_is_none(self, code: int, output: str) -> None:
        """Whatever a program prints, NONE takes the right code and the right words."""
        check = Check(("tool",), pending_text="left", none_text="done")
        if check.verdict(code, output) is Pending.NONE:
            assert code == 0
            assert "done" in output
            assert "left" not in output

    @EVERY
    def test_a_check_can_say_both(self, preset: Preset) -> None:
        """No check confuses codes, and each has a way to say that none is pending."""
        check = preset.check
        if check is None:
            return
        assert not check.pending & check.none_pending
        assert check.pending or check.none_text


class TestPieces:
    """What a query over the ledger is put together from."""

    def test_predicates(self) -> None:
        """Identifiers come unquoted, predicates as they are."""
        (found,) = recognise(tables(LEDGERS["prisma"], "my app"))
        assert pieces(found) == Pieces(
            schema="my app",
            table="_prisma_migrations",
            key=("migration_name",),
            bad="finished_at IS NULL AND rolled_back_at IS NULL",
            applied="finished_at IS NOT NULL AND rolled_back_at IS NULL",
            lock=None,
        )

    def test_defaults(self) -> None:
        """Without predicates no row is bad and every row is applied; the lock comes along."""
        (found,) = recognise(tables(LEDGERS["knex"]))
        assert pieces(found) == Pieces(
            schema="public",
            table="knex_migrations",
            key=("name",),
            bad="false",
            applied="true",
            lock=Lock("knex_migrations_lock", "is_locked = 1"),
        )

    def test_generic_has_none(self) -> None:
        """There is nothing to query without a ledger."""
        with pytest.raises(ValueError, match="preset 'generic' has no ledger"):
            pieces(Found(GENERIC, "public", "x"))


class TestTable:
    """The table of presets itself."""

    @EVERY
    def test_complete(self, preset: Preset) -> None:
        """A preset has a title, a ledger, a caution, and a command or what to set instead."""
        assert preset.title
        assert preset.ledger is not None
        assert preset.caution.endswith(".")
        assert len(preset.caution) <= 90
        assert (preset.migrate is None) == bool(preset.hint)
        assert (preset.hint or "Set MIGSAFE_MIGRATE.").endswith(".")
        if preset.hint:
            assert "MIGSAFE_MIGRATE" in preset.hint
        assert all(why for _, why in preset.refused)

    @EVERY
    def test_is_tested(self, preset: Preset) -> None:
        """Every preset is recognised by something, and stands in the tables of this test."""
        assert preset.name in LEDGERS or preset.name in SIGNS
        assert bool(preset.signs) == (preset.name in SIGNS)
        assert (preset.name in LEDGERS) or preset.variant_of in LEDGERS

    @EVERY
    def test_values_need_no_quoting_here(self, preset: Preset) -> None:
        """Identifiers are bare, predicates are one expression that no driver mistakes."""
        assert preset.ledger is not None
        for name in (preset.ledger.table, *preset.ledger.key, *preset.ledger.columns):
            assert re.fullmatch(r"\w+", name)
        lock = preset.lock
        predicates = [preset.ledger.bad, preset.ledger.applied]
        predicates += [lock.held, lock.holder] if lock else []
        for predicate in filter(None, predicates):
            assert not set(predicate) & set(";%{}\"'")

    @EVERY
    def test_commands_are_argv(self, preset: Preset) -> None:
        """Commands are lists of words: there is no shell that would split them."""
        commands = [preset.migrate or (), preset.check.argv if preset.check else ()]
        assert all(re.fullmatch(r"\S+", word) for command in commands for word in command)

    @EVERY
    def test_variants(self, preset: Preset) -> None:
        """A variant follows its preset, so that the preset wins where only the ledger is known."""
        if preset.variant_of is None:
            return
        origin = by_name(preset.variant_of)
        assert origin.variant_of is None
        assert PRESETS.index(origin) < PRESETS.index(preset)

    def test_unique(self) -> None:
        """Names and titles are each one preset's."""
        everyone = (*PRESETS, GENERIC)
        assert len({preset.name for preset in everyone}) == len(everyone)
        assert len({preset.title for preset in everyone}) == len(everyone)

    def test_generic(self) -> None:
        """The generic preset has no ledger and no command, and says what to set."""
        assert GENERIC.ledger is None
        assert GENERIC.migrate is None
        assert "MIGSAFE_MIGRATE" in GENERIC.hint

    def test_moving_ledgers(self) -> None:
        """Only where one row moves on may versions vanish."""
        moving = {preset.name for preset in PRESETS if preset.ledger and preset.ledger.moves}
        assert moving == {"alembic", "flask-migrate", "golang-migrate"}
