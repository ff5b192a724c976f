"""
The migration tools that stand beside an app's framework, as values. Pure.

``npx --no-install`` never downloads a tool that the image lacks. Where the command depends on the
app, ``migrate`` is None and ``hint`` says what to set.
"""

from sidecar.preset_types import DESTROYS, PRETENDS, UNDOES, Check, Ledger, Lock, Preset

_NPX = ("npx", "--no-install")

PRISMA = Preset(
    name="prisma",
    title="Prisma",
    ledger=Ledger(
        "_prisma_migrations",
        ("migration_name",),
        columns=("finished_at", "rolled_back_at"),
        bad="finished_at IS NULL AND rolled_back_at IS NULL",
        applied="finished_at IS NOT NULL AND rolled_back_at IS NULL",
    ),
    migrate=(*_NPX, "prisma", "migrate", "deploy"),
    check=Check((*_NPX, "prisma", "migrate", "status"), pending=frozenset({1})),
    signs=("prisma/migrations/migration_lock.toml",),
    refused=(
        ("migrate reset", DESTROYS),
        ("migrate dev", "may reset the database"),
        ("--accept-data-loss", DESTROYS),
        ("--force-reset", DESTROYS),
    ),
    caution="Prisma refuses every further migration after one that failed (P3009).",
)

KNEX = Preset(
    name="knex",
    title="Knex",
    ledger=Ledger("knex_migrations", ("name",), columns=("batch", "migration_time")),
    migrate=(*_NPX, "knex", "migrate:latest"),
    check=Check(
        (*_NPX, "knex", "migrate:status"),
        pending_text=r"Found \d+ Pending Migration",
        none_text=r"No Pending Migration",
    ),
    lock=Lock("knex_migrations_lock", held="is_locked = 1"),
    signs=("knexfile.js",),
    refused=(("migrate:rollback", UNDOES),),
    caution="A killed Knex leaves its lock behind.",
)

SEQUELIZE = Preset(
    name="sequelize",
    title="Sequelize",
    ledger=Ledger("SequelizeMeta", ("name",)),
    migrate=(*_NPX, "sequelize-cli", "db:migrate"),
    check=Check(
        (*_NPX, "sequelize-cli", "db:migrate:status"),
        pending_text=r"^down\s",
        none_text=r"^up\s",
    ),
    signs=(".sequelizerc",),
    refused=(("db:drop", DESTROYS), ("db:migrate:undo:all", UNDOES)),
    caution="Sequelize has no transactions: the migration that failed ran half.",
)

TYPEORM = Preset(
    name="typeorm",
    title="TypeORM",
    ledger=Ledger("migrations", ("timestamp", "name")),
    migrate=None,
    refused=(("schema:drop", DESTROYS), ("--fake", PRETENDS)),
    caution="TypeORM accepts a database that is newer than the image.",
    hint="Set MIGSAFE_MIGRATE, such as `npx typeorm migration:run -d dist/data-source.js`.",
)

FLYWAY = Preset(
    name="flyway",
    title="Flyway",
    # the rank: repeatable migrations have no version and come again
    ledger=Ledger(
        "flyway_schema_history",
        ("installed_rank", "script"),
        columns=("version", "success"),
        bad="NOT success",
        applied="success",
    ),
    migrate=("flyway", "migrate"),
    check=Check(("flyway", "validate"), pending=frozenset({1})),
    signs=("/flyway/flyway",),
    refused=(("clean", DESTROYS), ("-cleanOnValidationError=true", DESTROYS)),
    caution="Inside a Spring Boot app there is no flyway command: set MIGSAFE_MIGRATE.",
)

LIQUIBASE = Preset(
    name="liquibase",
    title="Liquibase",
    ledger=Ledger("databasechangelog", ("id", "author", "filename"), columns=("md5sum",)),
    migrate=("liquibase", "update"),
    check=Check(
        ("liquibase", "status"),
        pending_text=r"(has|have) not been applied",
        none_text=r"is up to date",
    ),
    lock=Lock("databasechangeloglock", held="locked", holder="lockedby"),
    signs=("/liquibase/liquibase",),
    refused=(
        ("drop-all", DESTROYS),
        ("dropAll", DESTROYS),
        ("changelog-sync", PRETENDS),
        ("changelogSync", PRETENDS),
    ),
    caution="Inside a Spring Boot app there is no liquibase command: set MIGSAFE_MIGRATE.",
)

DBMATE = Preset(
    name="dbmate",
    title="dbmate",
    ledger=Ledger("schema_migrations", ("version",), exact=True),
    migrate=("dbmate", "--no-dump-schema", "migrate"),
    check=Check(("dbmate", "status", "--exit-code"), pending=frozenset({1})),
    signs=("/usr/local/bin/dbmate",),
    refused=(("drop", DESTROYS),),
    caution="dbmate says Applied even of a migration that failed.",
)

GOOSE = Preset(
    name="goose",
    title="goose",
    ledger=Ledger(
        "goose_db_version", ("version_id",), columns=("is_applied", "tstamp"), applied="is_applied"
    ),
    migrate=("goose", "up"),
    check=Check(
        ("goose", "status"),
        pending_text=r"\bPending\s+-- ",
        none_text=r" -- \S+\.(sql|go)\b",
    ),
    refused=(("reset", DESTROYS),),
    caution="goose takes GOOSE_DRIVER, GOOSE_DBSTRING and GOOSE_MIGRATION_DIR from the app.",
)

GOLANG_MIGRATE = Preset(
    name="golang-migrate",
    title="golang-migrate",
    ledger=Ledger(
        "schema_migrations",
        ("version",),
        columns=("dirty",),
        exact=True,
        bad="dirty",
        applied="NOT dirty",
        moves=True,
    ),
    migrate=None,
    refused=(("drop", DESTROYS), ("force", PRETENDS)),
    caution="golang-migrate stays dirty after a failure, even where PostgreSQL rolled back.",
    hint="Set MIGSAFE_MIGRATE, such as"
    " `sh -c 'migrate -path /migrations -database \"$DATABASE_URL\" up'`.",
)

ATLAS = Preset(
    name="atlas",
    title="Atlas",
    # bit 4 of the type: a person has resolved it by `atlas migrate set`
    ledger=Ledger(
        "atlas_schema_revisions",
        ("version",),
        columns=("type", "applied", "total", "error", "hash"),
        bad="applied < total AND type & 4 = 0",
        applied="applied >= total OR type & 4 <> 0",
    ),
    migrate=None,
    refused=(("schema clean", DESTROYS),),
    caution="Atlas resumes a file that ran in part at the statement that failed.",
    hint="Set MIGSAFE_MIGRATE, such as"
    " `sh -c 'atlas migrate apply --url \"$DATABASE_URL\" --dir file://migrations'`.",
)

SQLX = Preset(
    name="sqlx",
    title="SQLx",
    ledger=Ledger(
        "_sqlx_migrations",
        ("version",),
        columns=("description", "success", "checksum"),
        bad="NOT success",
        applied="success",
    ),
    migrate=None,
    refused=(("database drop", DESTROYS), ("database reset", DESTROYS)),
    caution="SQLx keeps the migrations that ran before the one that failed.",
    hint="Set MIGSAFE_MIGRATE to `sqlx migrate run`, or to how the app runs those built into it.",
)

DIESEL = Preset(
    name="diesel",
    title="Diesel",
    ledger=Ledger("__diesel_schema_migrations", ("version",), columns=("run_on",)),
    migrate=None,
    refused=(("database drop", DESTROYS), ("database reset", DESTROYS)),
    caution="Diesel keeps the migrations that ran before the one that failed.",
    hint="Set MIGSAFE_MIGRATE to `diesel migration run`, or to how the app runs those built in.",
)

TOOLS = (
    PRISMA,
    KNEX,
    SEQUELIZE,
    TYPEORM,
    FLYWAY,
    LIQUIBASE,
    DBMATE,
    GOOSE,
    GOLANG_MIGRATE,
    ATLAS,
    SQLX,
    DIESEL,
)
"""In the order in which an app's files are looked for."""
