//! `vec_map(table_name, column_name [, options])`: every row with a vector as a point of a plane, for a picture of all rows.
//!
//! `analysis::projection` computes the plane. It reads the rows at most 42 times. Memory holds the points, 24 bytes each. If a
//! row cannot be found again by its rowid, memory holds its id, too.

use crate::analysis::projection::{Plane, RowStream};
use crate::error::{Error, Result};
use crate::kernels::F32Le;
use crate::planning::plan::Slot;
use crate::resources::reserve::{self, Reserve};
use crate::resources::stats::SearchPath;
use crate::resources::trace::{self, Stage, StageClock};
use crate::scan::VectorSource;
use crate::sqlite::host::args;
use crate::sqlite::host::connection::Connection;
use crate::sqlite::host::value::{Value, ValueRef};
use crate::sqlite::host::vtab::{Choice, Declaration, IndexInfo, Risk, Table};
use crate::sqlite::search::call::{SearchCall, refused};
use crate::sqlite::search::estimates::{ROW_COST, rows};
use crate::sqlite::search::finder::{Answering, Finder, FinderCursor};
use crate::sqlite::search::index_reader::elements;
use crate::sqlite::search::planner::{Signature, choose};
use crate::sqlite::tables::conditions::Conditions;
use crate::sqlite::tables::identifier::one;
use crate::sqlite::tables::reentry::Running;
use crate::sqlite::tables::source::Source;
use crate::vector::{ElementType, check_finite};

/// The table function.
pub struct VecMap {
    connection: Connection,
}

const SIGNATURE: Signature = Signature {
    columns: &["rowid INTEGER", "x REAL", "y REAL", "id"],
    arguments: &["table_name", "column_name", "options"],
    required: 2,
};
/// How many scans of the rows a map probably takes, for SQLite's planner. It was 28 for generated vectors, and 39 for real
/// ones.
const SCANS: f64 = 30.0;

impl Table for VecMap {
    const NAME: &'static str = "vec_map";
    type Cursor = FinderCursor<Map>;

    fn connect(connection: Connection, _: &[&str]) -> Result<(Self, Declaration)> {
        Ok((Self { connection }, SIGNATURE.declaration(Risk::Searching)))
    }

    fn best_index(&self, info: &mut IndexInfo<'_>) -> Result<Choice> {
        Ok(choose(info, SIGNATURE, |planner| {
            let size = rows(self.connection, planner, Slot::First);
            planner.info.estimate(size as f64 * ROW_COST * SCANS, size);
            planner.info.describe("scan");
        }))
    }

    fn open(&self) -> Result<FinderCursor<Map>> {
        let (connection, (source, ids)) = (self.connection, Default::default());
        Ok(Answering::cursor(connection, Map { connection, source, ids }))
    }
}

/// One map.
pub struct Map {
    connection: Connection,
    source: Option<Source>,
    /// The id of each point, if ids cannot be looked up later. Empty otherwise.
    ids: Vec<Value>,
}

/// A row and its point.
pub struct Point {
    row: i64,
    x: f64,
    y: f64,
}

impl Map {
    fn points(&mut self, source: &mut Source) -> Result<Vec<Point>> {
        let _running = Running::enter(std::slice::from_ref(source))?;
        let _clock = StageClock::begin(Stage::Sweeping);
        trace::note(|notes| notes.path = Some(SearchPath::Scan));
        let mut vectors = Vectors { source, dimensions: None, rows: 0 };
        let plane = Plane::fit(&mut vectors)?;
        let (mut points, ids) = (Vec::new(), &mut self.ids);
        points.reserve_room(vectors.rows)?;
        vectors.scan(|vector, scan| {
            let (x, y) = plane.place(vector);
            reserve::push(&mut points, Point { row: scan.row()?, x, y })?;
            scan.note()?.map_or(Ok(()), |id| reserve::push(ids, id))
        })?;
        Ok(points)
    }
}

fn opened(connection: Connection, table: ValueRef<'_>, column: ValueRef<'_>, options: ValueRef<'_>) -> Result<Source> {
    let path = one(args::text("table_name as text", table)?)?;
    let mut source = Source::open_any(connection, &path, args::text("column_name as text", column)?, None)?;
    source.set_elements(elements(&source, args::element(options)?)?);
    Ok(source)
}

/// The rows of a source that have a vector, each checked.
struct Vectors<'a> {
    source: &'a mut Source,
    /// The dimensions of the first row. All rows must have as many.
    dimensions: Option<usize>,
    /// How many rows the last scan found.
    rows: usize,
}

impl Vectors<'_> {
    fn scan<L>(&mut self, mut look: L) -> Result<()>
    where
        L: FnMut(&[F32Le], &dyn VectorSource<Note = Option<Value>>) -> Result<()>,
    {
        let everything = Conditions::default();
        let mut scan = self.source.scan(&everything)?;
        self.rows = 0;
        while scan.advance()? {
            let vector = match scan.vector() {
                Ok(None) => continue,
                Ok(Some(vector)) => fitting(&vector, scan.element(), &mut self.dimensions).map(|()| vector),
                Err(error) => Err(error),
            };
            look(&vector.map_err(|error| error.within(scan.describe()))?, &scan)?;
            self.rows += 1;
        }
        Ok(())
    }
}

fn fitting(vector: &[F32Le], element: ElementType, dimensions: &mut Option<usize>) -> Result<()> {
    match (vector.len(), *dimensions.get_or_insert(vector.len())) {
        (0, _) => Err(Error::expected("at least 1 dimension", 0)),
        (length, wanted) if length != wanted => {
            Err(Error::dimensions(wanted, "rows before", element.miscounted(wanted, length)))
        }
        _ => check_finite(vector),
    }
}

impl RowStream for Vectors<'_> {
    fn each(&mut self, look: &mut dyn FnMut(&[F32Le])) -> Result<()> {
        self.scan(|vector, _| {
            look(vector);
            Ok(())
        })
    }
}

impl Finder for Map {
    type Row = Point;
    const SIGNATURE: Signature = SIGNATURE;

    fn find(&mut self, given: &[ValueRef<'_>], _: &Conditions) -> Result<Vec<Point>> {
        (self.ids, self.source) = Default::default();
        let &[table, column, options] = given else { return Ok(Vec::new()) };
        let mut source = opened(self.connection, table, column, options).inspect_err(refused(VecMap::NAME))?;
        let call = SearchCall::begin(VecMap::NAME);
        let points = self.points(&mut source).map_err(|error| source.named(error));
        call.end(std::slice::from_ref(&source), None, points.as_ref().map(Vec::len));
        self.source = Some(source);
        points
    }

    fn column(&mut self, point: &Point, at: usize, column: usize) -> Result<Value> {
        let Some(source) = &mut self.source else { return Ok(Value::Null) };
        Ok(match column {
            0 if !source.has_rowid() => Value::Null,
            0 => Value::Integer(point.row),
            1 => Value::Real(point.x),
            2 => Value::Real(point.y),
            _ if !source.has_id() => Value::Null,
            _ => match self.ids.get(at) {
                Some(id) => id.copied()?,
                None => source.id(point.row, &None)?,
            },
        })
    }
}
