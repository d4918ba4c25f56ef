//! Many paths as one tree, so that one pass over a record fills one cell per path.

use crate::path::{Path, Segment};
use crate::{Cell, Value};
use std::collections::HashMap;

/// From this many children on, a hash map is faster than comparing names.
const HASHED_FROM: usize = 33;

/// The root's place among the nodes.
pub(crate) const ROOT: NodeId = NodeId(0);

/// A node's place in the arena.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NodeId(usize);

/// A set of paths compiled into a tree of segments, so that one pass over a record's bytes fills one cell per path.
#[derive(Debug, Clone)]
pub struct Projection {
    len: usize,
    nodes: Vec<Node>,
}

/// One segment. Its `slots` want the value that stands here; its children want what is inside.
#[derive(Debug, Clone, Default)]
pub(crate) struct Node {
    slots: Vec<usize>,
    fields: Vec<(String, NodeId)>,
    by_name: Option<HashMap<String, NodeId>>,
    indices: Vec<(usize, NodeId)>,
    /// Every slot at or below this node.
    below: Vec<usize>,
}

/// What a projection fills: slot by slot, `None` where a path leads nowhere.
pub(crate) type Cells<'a> = Vec<Option<Cell<'a>>>;

impl Projection {
    /// Slot `i` of the result belongs to `paths[i]`. A path may be given twice, and one may be a prefix of another.
    pub fn new(paths: &[Path]) -> Self {
        let mut projection = Self {
            len: paths.len(),
            nodes: vec![Node::default()],
        };
        for (slot, path) in paths.iter().enumerate() {
            projection.insert(slot, path);
        }
        for node in &mut projection.nodes {
            if node.fields.len() >= HASHED_FROM {
                node.by_name = Some(node.fields.iter().cloned().collect());
            }
        }
        projection
    }

    fn insert(&mut self, slot: usize, path: &Path) {
        let mut at = ROOT;
        self.nodes[at.0].below.push(slot);
        for segment in path.segments() {
            at = self.child_or_new(at, segment);
            self.nodes[at.0].below.push(slot);
        }
        self.nodes[at.0].slots.push(slot);
    }

    fn child_or_new(&mut self, parent: NodeId, segment: &Segment) -> NodeId {
        let node = &self.nodes[parent.0];
        let known = match segment {
            Segment::Field(name) => node
                .fields
                .iter()
                .find(|(n, _)| n == name)
                .map(|(_, id)| *id),
            Segment::Index(index) => node.child_at(*index),
        };
        if let Some(id) = known {
            return id;
        }
        let id = NodeId(self.nodes.len());
        self.nodes.push(Node::default());
        let node = &mut self.nodes[parent.0];
        match segment {
            Segment::Field(name) => node.fields.push((name.clone(), id)),
            Segment::Index(index) => node.indices.push((*index, id)),
        }
        id
    }

    /// How many paths there are, and so how many cells a record fills.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no path at all.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The same pass over a tree: `None` where the path leads nowhere.
    pub fn project_value<'v>(&self, value: &'v Value) -> Vec<Option<Cell<'v>>> {
        let mut cells = self.empty_cells();
        self.fill_from_value(ROOT, value, &mut cells);
        cells
    }

    pub(crate) fn empty_cells<'a>(&self) -> Cells<'a> {
        let mut cells = Vec::with_capacity(self.len);
        cells.resize_with(self.len, || None);
        cells
    }

    pub(crate) fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.0]
    }

    fn fill_from_value<'v>(&self, id: NodeId, value: &'v Value, cells: &mut Cells<'v>) {
        let node = self.node(id);
        if !node.slots.is_empty() {
            node.fill(Cell::from_value(value), cells);
        }
        match value {
            Value::Object(map) => {
                for (name, child) in &node.fields {
                    if let Some(value) = map.get(name.as_str()) {
                        self.fill_from_value(*child, value, cells);
                    }
                }
            }
            Value::Array(items) => {
                for (index, child) in &node.indices {
                    if let Some(value) = items.get(*index) {
                        self.fill_from_value(*child, value, cells);
                    }
                }
            }
            _ => {}
        }
    }
}

impl Node {
    /// Whether some path ends here, so that the whole value is wanted.
    pub(crate) fn is_wanted(&self) -> bool {
        !self.slots.is_empty()
    }

    /// Whether no path goes further.
    pub(crate) fn is_leaf(&self) -> bool {
        self.fields.is_empty() && self.indices.is_empty()
    }

    pub(crate) fn has_fields(&self) -> bool {
        !self.fields.is_empty()
    }

    pub(crate) fn has_indices(&self) -> bool {
        !self.indices.is_empty()
    }

    /// The child of a field. `hint` is where the last search ended: records mostly repeat their order.
    pub(crate) fn child(&self, name: &str, hint: &mut usize) -> Option<NodeId> {
        if let Some((expected, id)) = self.fields.get(*hint)
            && expected == name
        {
            *hint += 1;
            return Some(*id);
        }
        if let Some(by_name) = &self.by_name {
            return by_name.get(name).copied();
        }
        let found = self.fields.iter().position(|(known, _)| known == name)?;
        *hint = found + 1;
        Some(self.fields[found].1)
    }

    pub(crate) fn child_at(&self, index: usize) -> Option<NodeId> {
        self.indices
            .iter()
            .find(|(known, _)| *known == index)
            .map(|(_, id)| *id)
    }

    /// Puts the cell into every slot that wants this node.
    pub(crate) fn fill<'a>(&self, cell: Cell<'a>, cells: &mut Cells<'a>) {
        if let Some((last, others)) = self.slots.split_last() {
            for slot in others {
                cells[*slot] = Some(cell.clone());
            }
            cells[*last] = Some(cell);
        }
    }

    /// Forgets what an earlier field of the same name left here: the last one wins.
    pub(crate) fn clear(&self, cells: &mut Cells<'_>) {
        for slot in &self.below {
            cells[*slot] = None;
        }
    }
}
