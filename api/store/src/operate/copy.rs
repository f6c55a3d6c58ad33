//! A service's SQLite file copied to an empty schema of PostgreSQL: whole or not at all. What arrived is read back, counted
//! and compared by a checksum of each table before it is committed. Never writes to the file, never to a schema with tables.

use std::collections::BTreeSet;

use aws_lc_rs::digest::{SHA256, digest};
use sqlx::postgres::PgRow;
use sqlx::sqlite::SqliteRow;
use sqlx::{AssertSqlSafe, PgConnection, Row, SqliteConnection, TypeInfo, ValueRef};

use crate::config::{ServiceName, StorageConfig};
use crate::database::Single;
use crate::error::StoreError;
use crate::folder::DataFolder;
use crate::migrations::{self, MigrationSet, UpOptions};

/// Rows of one step.
const BATCH: usize = 500;

/// One table that was copied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Copied {
    /// Its name.
    pub table: String,
    /// Rows on both sides.
    pub rows: u64,
    /// The checksum on both sides, 64 hexadecimal digits: the sum of the rows' SHA-256, whatever their order.
    pub checksum: String,
}

/// How a column's values travel, by its type on the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Carrier {
    Bytes,
    Boolean,
    Float,
    Json,
    Uuid,
    /// Written alike by both: whole numbers and texts.
    Plain,
}

#[derive(Debug)]
struct Column {
    name: String,
    /// As PostgreSQL spells it.
    kind: String,
    carrier: Carrier,
}

#[derive(Debug)]
struct Table {
    name: String,
    columns: Vec<Column>,
}

/// A value on its way: bytes, or a text in one spelling for both sides.
type Cell = Option<Vec<u8>>;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Sum {
    rows: u64,
    lanes: [u64; 4],
}

pub(super) async fn copy(
    config: &StorageConfig,
    service: ServiceName,
    set: &MigrationSet,
    folder: &DataFolder,
) -> Result<Vec<Copied>, StoreError> {
    if config.postgres_url.is_none() {
        return Err(StoreError::Refused("storage.postgres_url is not set: it names where the copy goes".to_owned()));
    }
    let mut from_config = config.clone();
    from_config.postgres_url = None;
    if !folder.path().join(format!("{service}.sqlite")).exists() {
        return Err(StoreError::Refused(format!("there is no {service}.sqlite in {}", folder.path().display())));
    }
    migrations::status(&from_config, service, folder, set).await?.check_current(service)?;
    let (mut from, mut to) =
        (Single::open(&from_config, service, folder).await?, Single::open(config, service, folder).await?);
    from.quick_check().await?;
    // A path to a schema that is not there finds no table, as it should.
    if !to.tables().await?.is_empty() {
        let words = format!("the schema {service} on the server has tables already; a copy goes into an empty one");
        return Err(StoreError::Refused(words));
    }
    migrations::up(config, service, folder, set, UpOptions::default()).await?;
    let copied = match (&mut from, &mut to) {
        (Single::Sqlite(from), Single::Postgres(to)) => {
            let copied = copy_all(from, to).await;
            if copied.is_err() {
                undo(to, service).await;
            }
            copied
        }
        _ => Err(StoreError::Fault("a copy goes from SQLite to PostgreSQL".to_owned())),
    };
    from.close().await;
    to.close().await;
    copied
}

/// Removes the schema that this copy made, so that the next try finds it empty.
async fn undo(to: &mut PgConnection, service: ServiceName) {
    let statements = ["ROLLBACK".to_owned(), format!("DROP SCHEMA {service} CASCADE")];
    for statement in statements {
        // OK because a service's name is a-z and _ alone; nothing can be bound in its place.
        if let Err(error) = sqlx::query(AssertSqlSafe(statement)).execute(&mut *to).await {
            let error = StoreError::from(error);
            tracing::warn!(%service, %error, "the schema of a copy that failed could not be removed");
        }
    }
}

async fn copy_all(from: &mut SqliteConnection, to: &mut PgConnection) -> Result<Vec<Copied>, StoreError> {
    let tables = tables(to).await?;
    same_tables(from, &tables).await?;
    // Holds writers off, so that what is counted is what is copied.
    sqlx::query("BEGIN IMMEDIATE").execute(&mut *from).await?;
    sqlx::query("BEGIN").execute(&mut *to).await?;
    for table in tables.iter().rev() {
        // The audit log refuses changes by triggers; what the migrations put into a fresh schema must give way.
        run(to, format!("ALTER TABLE {} DISABLE TRIGGER USER", quoted(&table.name))).await?;
        run(to, format!("DELETE FROM {}", quoted(&table.name))).await?;
    }
    let mut copied = Vec::new();
    for table in &tables {
        let sent = send(from, to, table).await?;
        let arrived = read_back(to, table).await?;
        if sent != arrived {
            return Err(StoreError::Corrupt {
                what: format!("the copy of {} ({} rows sent, {} arrived)", table.name, sent.rows, arrived.rows),
                remedy: "nothing was kept on the server; try again, and report it if it stays".to_owned(),
            });
        }
        copied.push(Copied { table: table.name.clone(), rows: sent.rows, checksum: sent.digits() });
    }
    for table in &tables {
        run(to, format!("ALTER TABLE {} ENABLE TRIGGER USER", quoted(&table.name))).await?;
    }
    sqlx::query("COMMIT").execute(&mut *to).await?;
    let _ = sqlx::query("ROLLBACK").execute(&mut *from).await; // OK because nothing was written in it
    Ok(copied)
}

async fn run(to: &mut PgConnection, statement: String) -> Result<(), StoreError> {
    // OK because every name in it comes from the schema itself and is quoted; nothing can be bound in its place.
    sqlx::query(AssertSqlSafe(statement)).execute(to).await?;
    Ok(())
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// The server's tables with their columns, each after those that it refers to.
async fn tables(to: &mut PgConnection) -> Result<Vec<Table>, StoreError> {
    let columns: Vec<(String, String, String, bool)> = sqlx::query_as(
        "SELECT table_name::text, column_name::text, data_type::text, \
                is_identity = 'YES' OR is_generated <> 'NEVER' OR coalesce(column_default, '') LIKE 'nextval(%' \
         FROM information_schema.columns WHERE table_schema = current_schema() AND table_name <> '_sqlx_migrations' \
         ORDER BY table_name, ordinal_position",
    )
    .fetch_all(&mut *to)
    .await?;
    let mut tables: Vec<Table> = Vec::new();
    for (table, name, kind, made_by_server) in columns {
        let refuse = |why: &str| Err(StoreError::Refused(format!("{table}.{name} cannot be copied: {why}")));
        if made_by_server {
            return refuse("the server makes its values");
        }
        let Some(carrier) = Carrier::of(&kind) else { return refuse(&format!("its type is {kind}")) };
        let column = Column { name, kind, carrier };
        match tables.last_mut() {
            Some(last) if last.name == table => last.columns.push(column),
            _ => tables.push(Table { name: table, columns: vec![column] }),
        }
    }
    let references: Vec<(String, String)> = sqlx::query_as(
        "SELECT f.relname::text, t.relname::text FROM pg_constraint c \
         JOIN pg_class f ON f.oid = c.conrelid JOIN pg_class t ON t.oid = c.confrelid \
         JOIN pg_namespace n ON n.oid = c.connamespace \
         WHERE c.contype = 'f' AND n.nspname = current_schema() AND c.conrelid <> c.confrelid",
    )
    .fetch_all(&mut *to)
    .await?;
    in_order(tables, &references)
}

fn in_order(mut waiting: Vec<Table>, references: &[(String, String)]) -> Result<Vec<Table>, StoreError> {
    let (mut done, mut names) = (Vec::new(), BTreeSet::new());
    while !waiting.is_empty() {
        let before = waiting.len();
        let mut still = Vec::new();
        for table in waiting {
            let mut targets = references.iter().filter(|(from, _)| *from == table.name).map(|(_, to)| to);
            if targets.all(|target| names.contains(target)) {
                names.insert(table.name.clone());
                done.push(table);
            } else {
                still.push(table);
            }
        }
        if still.len() == before {
            let names: Vec<_> = still.iter().map(|table| table.name.as_str()).collect();
            return Err(StoreError::Refused(format!("tables refer to each other in a circle: {}", names.join(", "))));
        }
        waiting = still;
    }
    Ok(done)
}

/// Refuses two schemas of which one has a table or column that the other lacks: something would be lost.
async fn same_tables(from: &mut SqliteConnection, tables: &[Table]) -> Result<(), StoreError> {
    let found: Vec<(String, String)> = sqlx::query_as(
        "SELECT m.name, p.name FROM sqlite_schema m JOIN pragma_table_info(m.name) p \
         WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite\\_%' ESCAPE '\\' AND m.name <> '_sqlx_migrations'",
    )
    .fetch_all(from)
    .await?;
    let found: BTreeSet<_> = found.into_iter().collect();
    let pairs = |table: &Table| {
        let name = table.name.clone();
        table.columns.iter().map(move |column| (name.clone(), column.name.clone())).collect::<Vec<_>>()
    };
    let wanted: BTreeSet<_> = tables.iter().flat_map(pairs).collect();
    match found.symmetric_difference(&wanted).next() {
        None => Ok(()),
        Some((table, column)) => {
            Err(StoreError::Fault(format!("{table}.{column} is in one kind of database and not in the other")))
        }
    }
}

/// Writes every row of a table to the server. Returns what was sent.
async fn send(from: &mut SqliteConnection, to: &mut PgConnection, table: &Table) -> Result<Sum, StoreError> {
    let names = table.columns.iter().map(|column| quoted(&column.name)).collect::<Vec<_>>().join(", ");
    let select =
        format!("SELECT rowid, {names} FROM {} WHERE rowid > $1 ORDER BY rowid LIMIT {BATCH}", quoted(&table.name));
    let insert = insert(table, &names);
    let (mut sum, mut after) = (Sum::default(), i64::MIN);
    loop {
        // OK because every name in it comes from the schema itself and is quoted.
        let rows = sqlx::query(AssertSqlSafe(select.clone())).bind(after).fetch_all(&mut *from).await?;
        let Some(last) = rows.last() else { return Ok(sum) };
        after = last.try_get(0)?;
        let mut cells = vec![Vec::with_capacity(rows.len()); table.columns.len()];
        for row in &rows {
            let read = |(at, column): (usize, &Column)| column.carrier.read_sqlite(row, at + 1);
            let row = table.columns.iter().enumerate().map(read).collect::<Result<Vec<Cell>, _>>()?;
            sum.add(&row);
            row.into_iter().zip(&mut cells).for_each(|(cell, column)| column.push(cell));
        }
        let mut query = sqlx::query(AssertSqlSafe(insert.clone()));
        for (cells, column) in cells.into_iter().zip(&table.columns) {
            query = match column.carrier {
                Carrier::Bytes => query.bind(cells),
                _ => query.bind(cells.into_iter().map(|cell| cell.map(text)).collect::<Vec<Option<String>>>()),
            };
        }
        query.execute(&mut *to).await?;
    }
}

/// `INSERT … SELECT c1::bigint, c2 FROM unnest($1::text[], $2::bytea[]) AS sent (c1, c2)`
fn insert(table: &Table, names: &str) -> String {
    let list = |piece: &dyn Fn(usize, &Column) -> String| {
        table.columns.iter().enumerate().map(|(at, column)| piece(at + 1, column)).collect::<Vec<_>>().join(", ")
    };
    let values = list(&|at, column| match column.carrier {
        Carrier::Bytes => format!("c{at}"),
        _ => format!("c{at}::{}", column.kind),
    });
    let arrays = list(&|at, column| match column.carrier {
        Carrier::Bytes => format!("${at}::bytea[]"),
        _ => format!("${at}::text[]"),
    });
    let aliases = list(&|at, _| format!("c{at}"));
    let name = quoted(&table.name);
    format!("INSERT INTO {name} ({names}) SELECT {values} FROM unnest({arrays}) AS sent ({aliases})")
}

/// Reads a table back from the server, through a cursor so that no table has to fit into memory.
async fn read_back(to: &mut PgConnection, table: &Table) -> Result<Sum, StoreError> {
    let column = |column: &Column| match column.carrier {
        Carrier::Bytes => quoted(&column.name),
        _ => format!("{}::text", quoted(&column.name)),
    };
    let columns = table.columns.iter().map(column).collect::<Vec<_>>().join(", ");
    run(to, format!("DECLARE arrived CURSOR FOR SELECT {columns} FROM {}", quoted(&table.name))).await?;
    let mut sum = Sum::default();
    loop {
        // Not kept by the connection: the same words have other columns at the next table.
        let fetch = sqlx::query(AssertSqlSafe(format!("FETCH {BATCH} FROM arrived"))).persistent(false);
        let rows = fetch.fetch_all(&mut *to).await?;
        if rows.is_empty() {
            break;
        }
        for row in &rows {
            let read = |(at, column): (usize, &Column)| column.carrier.read_postgres(row, at);
            sum.add(&table.columns.iter().enumerate().map(read).collect::<Result<Vec<Cell>, _>>()?);
        }
    }
    run(to, "CLOSE arrived".to_owned()).await?;
    Ok(sum)
}

fn text(bytes: Vec<u8>) -> String {
    // Made of texts by `Carrier`, except a SQLite TEXT that is not UTF-8, which the checksum then finds.
    String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

impl Carrier {
    fn of(kind: &str) -> Option<Self> {
        Some(match kind {
            "bytea" => Self::Bytes,
            "boolean" => Self::Boolean,
            "double precision" => Self::Float,
            "json" | "jsonb" => Self::Json,
            "uuid" => Self::Uuid,
            "bigint" | "integer" | "smallint" | "text" | "character varying" => Self::Plain,
            _ => return None,
        })
    }

    fn read_sqlite(self, row: &SqliteRow, at: usize) -> Result<Cell, StoreError> {
        let value = row.try_get_raw(at)?;
        if value.is_null() {
            return Ok(None);
        }
        let kind = value.type_info().name().to_owned();
        let raw = match kind.as_str() {
            "BLOB" => row.try_get_unchecked::<Vec<u8>, _>(at)?,
            "REAL" => row.try_get_unchecked::<f64, _>(at)?.to_string().into_bytes(),
            "TEXT" => row.try_get_unchecked::<String, _>(at)?.into_bytes(),
            // INTEGER, and BOOLEAN by the column's declaration.
            _ => row.try_get_unchecked::<i64, _>(at)?.to_string().into_bytes(),
        };
        match (self, kind.as_str()) {
            // Bytes that are no UUID go as they are, for the server to refuse.
            (Self::Uuid, "BLOB") => {
                let id = uuid::Uuid::from_slice(&raw);
                Ok(Some(id.map_or(raw, |id| id.to_string().into_bytes())))
            }
            _ => Ok(Some(self.spelled(raw))),
        }
    }

    fn read_postgres(self, row: &PgRow, at: usize) -> Result<Cell, StoreError> {
        if self == Self::Bytes {
            return Ok(row.try_get(at)?);
        }
        let text: Option<String> = row.try_get(at)?;
        Ok(text.map(|text| self.spelled(text.into_bytes())))
    }

    /// One spelling for both sides; what cannot be read as its kind stays as it is, for the server to refuse.
    fn spelled(self, raw: Vec<u8>) -> Vec<u8> {
        let as_text = || std::str::from_utf8(&raw).ok();
        let spelled = match self {
            Self::Bytes | Self::Plain => None,
            Self::Boolean => match as_text() {
                Some("1" | "true" | "t") => Some("true".to_owned()),
                Some("0" | "false" | "f") => Some("false".to_owned()),
                _ => None,
            },
            Self::Float => as_text().and_then(|text| text.parse::<f64>().ok()).map(|number| number.to_string()),
            Self::Json => as_text()
                .and_then(|text| serde_json::from_str::<serde_json::Value>(text).ok())
                .map(|value| value.to_string()),
            Self::Uuid => as_text().and_then(|text| uuid::Uuid::parse_str(text).ok()).map(|id| id.to_string()),
        };
        spelled.map_or(raw, String::into_bytes)
    }
}

impl Sum {
    /// Each cell behind its length, NULL behind a mark of its own, so that no two rows have the same bytes.
    fn add(&mut self, row: &[Cell]) {
        let mut bytes = Vec::new();
        for cell in row {
            match cell {
                None => bytes.push(0),
                Some(cell) => {
                    bytes.push(1);
                    bytes.extend((cell.len() as u64).to_be_bytes());
                    bytes.extend(cell);
                }
            }
        }
        self.rows += 1;
        for (lane, part) in self.lanes.iter_mut().zip(digest(&SHA256, &bytes).as_ref().chunks_exact(8)) {
            let part = part.iter().fold(0_u64, |number, &byte| (number << 8) | u64::from(byte));
            *lane = lane.wrapping_add(part);
        }
    }

    fn digits(&self) -> String {
        self.lanes.iter().map(|lane| format!("{lane:016x}")).collect()
    }
}
