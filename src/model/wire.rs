//! What a model file would take once decoded, told from its wire format before it is.
//!
//! A message of two bytes decodes to a struct of hundreds, so the size of the file says nothing. This walk allocates
//! nothing, and knows of each field only what it costs.

use std::mem::size_of;

use super::limits::{
    MAX_ATTRIBUTES, MAX_DECODED, MAX_DECODED_PER_BYTE, MAX_EDGES, MAX_INITIALIZERS, MAX_NAME,
    MAX_NODES, MAX_RESULTS,
};
use super::proto::{
    AttributeProto, DeviceConfigurationProto, FunctionProto, GraphProto, IntIntListEntryProto,
    NodeDeviceConfigurationProto, NodeProto, OperatorSetIdProto, ShardedDimProto,
    ShardingSpecProto, SimpleShardedDimProto, SparseTensorProto, StringStringEntryProto,
    TensorAnnotation, TensorProto, TensorShapeProto, TrainingInfoProto, TypeProto, ValueInfoProto,
    tensor_proto, tensor_shape_proto,
};

/// As deep as the decoder goes.
const MAX_DEPTH: u32 = 100;

/// A message of ONNX's schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Message {
    Model,
    Graph,
    Node,
    Attribute,
    Tensor,
    SparseTensor,
    Segment,
    ValueInfo,
    Type,
    /// Any of the kinds of type, which hold an element type, a shape, or another type.
    TypeOf,
    MapType,
    Shape,
    Dimension,
    Entry,
    Opset,
    Function,
    Training,
    Annotation,
    Device,
    NodeDevice,
    Sharding,
    ShardedDim,
    SimpleSharding,
    GroupMap,
}

/// A field of a message.
#[derive(Debug, Clone, Copy)]
enum Field {
    Message(Message),
    /// A name of something: bounded.
    Name,
    Text,
    /// Not copied when decoded.
    Bytes,
    /// Integers in as many bytes as they need, this wide when decoded.
    Varints(u64),
    /// Numbers of fixed width.
    Fixed(u64),
}

impl Message {
    /// Bytes of one when decoded.
    const fn size(self) -> u64 {
        (match self {
            Self::Model => 0,
            Self::Graph => size_of::<GraphProto>(),
            Self::Node => size_of::<NodeProto>(),
            Self::Attribute => size_of::<AttributeProto>(),
            Self::Tensor => size_of::<TensorProto>(),
            Self::SparseTensor => size_of::<SparseTensorProto>(),
            Self::Segment => size_of::<tensor_proto::Segment>(),
            Self::ValueInfo => size_of::<ValueInfoProto>(),
            Self::Type | Self::TypeOf | Self::MapType => size_of::<TypeProto>(),
            Self::Shape => size_of::<TensorShapeProto>(),
            Self::Dimension => size_of::<tensor_shape_proto::Dimension>(),
            Self::Entry => size_of::<StringStringEntryProto>(),
            Self::Opset => size_of::<OperatorSetIdProto>(),
            Self::Function => size_of::<FunctionProto>(),
            Self::Training => size_of::<TrainingInfoProto>(),
            Self::Annotation => size_of::<TensorAnnotation>(),
            Self::Device => size_of::<DeviceConfigurationProto>(),
            Self::NodeDevice => size_of::<NodeDeviceConfigurationProto>(),
            Self::Sharding => size_of::<ShardingSpecProto>(),
            Self::ShardedDim => size_of::<ShardedDimProto>(),
            Self::SimpleSharding => size_of::<SimpleShardedDimProto>(),
            Self::GroupMap => size_of::<IntIntListEntryProto>(),
        }) as u64
    }

    /// What the field with this number is; `None`: the decoder skips it, or it is one plain number.
    const fn field(self, number: u64) -> Option<Field> {
        use Field::{Bytes, Fixed, Message as Inner, Name, Text, Varints};
        Some(match (self, number) {
            (Self::Model, 7) => Inner(Self::Graph),
            (Self::Model, 8) => Inner(Self::Opset),
            (Self::Model, 14) => Inner(Self::Entry),
            (Self::Model, 20) => Inner(Self::Training),
            (Self::Model, 25) => Inner(Self::Function),
            (Self::Model, 26) => Inner(Self::Device),
            (Self::Model, 2..=4 | 6) => Text,

            (Self::Graph, 1) => Inner(Self::Node),
            (Self::Graph, 5) => Inner(Self::Tensor),
            (Self::Graph, 11..=13) => Inner(Self::ValueInfo),
            (Self::Graph, 14) => Inner(Self::Annotation),
            (Self::Graph, 15) => Inner(Self::SparseTensor),
            (Self::Graph, 16) => Inner(Self::Entry),
            (Self::Graph, 2 | 10) => Text,

            (Self::Node, 1..=4 | 7 | 8) => Name,
            (Self::Node, 5) => Inner(Self::Attribute),
            (Self::Node, 6) => Text,
            (Self::Node, 9) => Inner(Self::Entry),
            (Self::Node, 10) => Inner(Self::NodeDevice),

            (Self::Attribute, 1 | 21) => Name,
            (Self::Attribute, 13) => Text,
            (Self::Attribute, 4 | 9) => Bytes,
            (Self::Attribute, 5 | 10) => Inner(Self::Tensor),
            (Self::Attribute, 6 | 11) => Inner(Self::Graph),
            (Self::Attribute, 22 | 23) => Inner(Self::SparseTensor),
            (Self::Attribute, 14 | 15) => Inner(Self::Type),
            (Self::Attribute, 7) => Fixed(4),
            (Self::Attribute, 8) => Varints(8),

            (Self::Tensor, 1 | 7 | 11) => Varints(8),
            (Self::Tensor, 5) => Varints(4),
            (Self::Tensor, 4) => Fixed(4),
            (Self::Tensor, 10) => Fixed(8),
            (Self::Tensor, 6 | 9) => Bytes,
            (Self::Tensor, 3) => Inner(Self::Segment),
            (Self::Tensor, 8) => Name,
            (Self::Tensor, 12) => Text,
            (Self::Tensor, 13 | 16) => Inner(Self::Entry),

            (Self::SparseTensor, 1 | 2) => Inner(Self::Tensor),
            (Self::SparseTensor, 3) => Varints(8),

            (Self::ValueInfo, 1) => Name,
            (Self::ValueInfo, 2) => Inner(Self::Type),
            (Self::ValueInfo, 3) => Text,
            (Self::ValueInfo, 4) => Inner(Self::Entry),

            (Self::Type, 1 | 4 | 7..=9) => Inner(Self::TypeOf),
            (Self::Type, 5) => Inner(Self::MapType),
            (Self::Type, 6) => Text,
            // of a tensor a shape; of a sequence or an option a type, in which the numbers of a shape mean nothing
            (Self::TypeOf, 1) => Inner(Self::Type),
            (Self::TypeOf, 2) => Inner(Self::Shape),
            (Self::MapType, 2) => Inner(Self::Type),
            (Self::Shape, 1) => Inner(Self::Dimension),
            (Self::Dimension, 2) => Name,
            (Self::Dimension, 3) => Text,

            (Self::Entry, 1 | 2) => Text,
            (Self::Opset, 1) => Name,

            (Self::Function, 1 | 4..=6 | 10 | 13) => Name,
            (Self::Function, 7) => Inner(Self::Node),
            (Self::Function, 8) => Text,
            (Self::Function, 9) => Inner(Self::Opset),
            (Self::Function, 11) => Inner(Self::Attribute),
            (Self::Function, 12) => Inner(Self::ValueInfo),
            (Self::Function, 14) => Inner(Self::Entry),

            (Self::Training, 1 | 2) => Inner(Self::Graph),
            (Self::Training, 3 | 4) => Inner(Self::Entry),
            (Self::Annotation, 1) => Name,
            (Self::Annotation, 2) => Inner(Self::Entry),
            (Self::Device, 1 | 3) => Text,
            (Self::NodeDevice, 1) => Text,
            (Self::NodeDevice, 2) => Inner(Self::Sharding),
            (Self::Sharding, 1) => Text,
            (Self::Sharding, 2) => Varints(8),
            (Self::Sharding, 3) => Inner(Self::GroupMap),
            (Self::Sharding, 4) => Inner(Self::ShardedDim),
            (Self::ShardedDim, 2) => Inner(Self::SimpleSharding),
            (Self::SimpleSharding, 2) => Text,
            (Self::GroupMap, 2) => Varints(8),
            _ => return None,
        })
    }
}

/// What was counted so far.
#[derive(Debug, Default)]
struct Counts {
    /// Bytes when decoded, beyond those of the file.
    decoded: u64,
    nodes: u64,
    edges: u64,
    initializers: u64,
    results: u64,
}

/// Why a file is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Refusal {
    /// It is no protobuf: the decoder says why.
    Broken,
    /// It has too much of something, in words.
    TooLarge(String),
}

/// Looks through the wire format of a model.
///
/// # Errors
/// What there is too much of.
pub(super) fn check(bytes: &[u8]) -> Result<(), Refusal> {
    let mut walk = Walk {
        counts: Counts::default(),
        most: MAX_DECODED.saturating_add(MAX_DECODED_PER_BYTE.saturating_mul(bytes.len() as u64)),
    };
    walk.message(Message::Model, bytes, MAX_DEPTH)
}

struct Walk {
    counts: Counts,
    /// Most bytes when decoded.
    most: u64,
}

impl Walk {
    fn message(&mut self, message: Message, mut bytes: &[u8], depth: u32) -> Result<(), Refusal> {
        let depth = depth.checked_sub(1).ok_or(Refusal::Broken)?;
        let mut attributes = 0;
        while !bytes.is_empty() {
            let key = varint(&mut bytes)?;
            let (number, wire) = (key >> 3, key & 7);
            let content = content(&mut bytes, wire, depth)?;
            let Some(field) = message.field(number) else {
                continue;
            };
            // an entry of a list that grows: the list may have room for as many again
            match (field, wire) {
                (Field::Message(inner), 2) => {
                    self.add(2 * inner.size())?;
                    self.count(message, number, inner)?;
                    if inner == Message::Attribute {
                        attributes += 1;
                        at_most(attributes, MAX_ATTRIBUTES, "attributes of one node")?;
                    }
                    // where the decoder sees a number, what looks like a message may be none
                    match self.message(inner, content, depth) {
                        Err(Refusal::Broken) if message == Message::TypeOf => {}
                        result => result?,
                    }
                }
                (Field::Name | Field::Text, 2) => {
                    let length = content.len() as u64;
                    if matches!(field, Field::Name) {
                        at_most(length, MAX_NAME, "bytes in one name")?;
                    }
                    self.add(2 * size_of::<String>() as u64 + length)?;
                    if message == Message::Node && number <= 2 {
                        self.counts.edges += 1;
                        at_most(self.counts.edges, MAX_EDGES, "inputs and outputs of nodes")?;
                    }
                }
                (Field::Bytes, 2) => self.add(2 * size_of::<bytes::Bytes>() as u64)?,
                (Field::Varints(width), 2) => {
                    let numbers = content.iter().filter(|&&byte| byte < 0x80).count() as u64;
                    self.add(width * numbers)?;
                }
                (Field::Fixed(_), 2) => self.add(content.len() as u64)?,
                (Field::Varints(width) | Field::Fixed(width), _) => self.add(2 * width)?,
                _ => {}
            }
        }
        Ok(())
    }

    fn add(&mut self, bytes: u64) -> Result<(), Refusal> {
        self.counts.decoded = self.counts.decoded.saturating_add(bytes);
        if self.counts.decoded <= self.most {
            return Ok(());
        }
        Err(Refusal::TooLarge(format!(
            "it would take more than {} MB of memory to read, far more than its size says",
            self.most >> 20
        )))
    }

    fn count(&mut self, outer: Message, number: u64, inner: Message) -> Result<(), Refusal> {
        let counts = &mut self.counts;
        match (outer, inner) {
            (_, Message::Node) => {
                counts.nodes += 1;
                at_most(counts.nodes, MAX_NODES, "nodes")
            }
            (Message::Graph, Message::Tensor | Message::SparseTensor) => {
                counts.initializers += 1;
                at_most(counts.initializers, MAX_INITIALIZERS, "weights")
            }
            (Message::Graph, Message::ValueInfo) if number == 12 => {
                counts.results += 1;
                at_most(counts.results, MAX_RESULTS, "outputs")
            }
            _ => Ok(()),
        }
    }
}

fn at_most(count: u64, most: u64, what: &str) -> Result<(), Refusal> {
    if count <= most {
        return Ok(());
    }
    Err(Refusal::TooLarge(format!(
        "it has more than {most} {what}, which no depth network has"
    )))
}

/// What follows a key: for a field with a length its bytes, else nothing.
fn content<'a>(bytes: &mut &'a [u8], wire: u64, depth: u32) -> Result<&'a [u8], Refusal> {
    let skip = match wire {
        0 => {
            varint(bytes)?;
            0
        }
        1 => 8,
        2 => {
            let length = usize::try_from(varint(bytes)?).map_err(|_| Refusal::Broken)?;
            return take(bytes, length);
        }
        3 => {
            group(bytes, depth)?;
            0
        }
        5 => 4,
        _ => return Err(Refusal::Broken),
    };
    take(bytes, skip)?;
    Ok(&[])
}

/// Skips to the end of a group, an old form of message that ONNX has none of.
fn group(bytes: &mut &[u8], depth: u32) -> Result<(), Refusal> {
    let depth = depth.checked_sub(1).ok_or(Refusal::Broken)?;
    loop {
        let wire = varint(bytes)? & 7;
        if wire == 4 {
            return Ok(());
        }
        content(bytes, wire, depth)?;
    }
}

fn take<'a>(bytes: &mut &'a [u8], length: usize) -> Result<&'a [u8], Refusal> {
    let (taken, rest) = bytes.split_at_checked(length).ok_or(Refusal::Broken)?;
    *bytes = rest;
    Ok(taken)
}

fn varint(bytes: &mut &[u8]) -> Result<u64, Refusal> {
    let mut value = 0_u64;
    for index in 0..10 {
        let &[byte] = take(bytes, 1)? else {
            return Err(Refusal::Broken);
        };
        value |= u64::from(byte & 0x7f) << (7 * index);
        if byte < 0x80 {
            return Ok(value);
        }
    }
    Err(Refusal::Broken)
}

#[cfg(test)]
mod tests {
    use prost::Message as _;

    use super::super::proto::ModelProto;
    use super::*;

    /// A field with a length.
    fn field(number: u64, content: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        prost::encoding::encode_varint(number << 3 | 2, &mut bytes);
        prost::encoding::encode_varint(content.len() as u64, &mut bytes);
        bytes.extend(content);
        bytes
    }

    #[track_caller]
    fn refused(bytes: &[u8], words: &str) {
        match check(bytes) {
            Err(Refusal::TooLarge(reason)) => assert!(reason.contains(words), "{reason}"),
            other => panic!("{other:?}"),
        }
    }

    fn in_graph(nodes: &[u8]) -> Vec<u8> {
        field(7, nodes)
    }

    #[test]
    fn empty_messages_are_counted_before_they_take_memory() {
        // two bytes each, hundreds when decoded, below all other limits
        let attributes = field(5, &[]).repeat(500);
        let nodes = field(1, &attributes).repeat(2000);
        refused(&in_graph(&nodes), "MB of memory");
        for nested in [
            field(5, &field(13, &[]).repeat(4_000_000)),
            field(
                12,
                &field(2, &field(1, &field(2, &field(1, &[]).repeat(4_000_000)))),
            ),
            field(16, &[]).repeat(4_000_000),
            field(1, &field(5, &field(9, &[]).repeat(5_000_000))),
        ] {
            refused(&in_graph(&nested), "MB of memory");
        }
    }

    #[test]
    fn numbers_of_things_are_bounded() {
        refused(
            &in_graph(&field(1, &[]).repeat(MAX_NODES as usize + 1)),
            "nodes",
        );
        let many = field(1, &[]).repeat(MAX_EDGES as usize + 1);
        refused(&in_graph(&field(1, &many)), "inputs and outputs");
        let many = field(5, &[]).repeat(MAX_ATTRIBUTES as usize + 1);
        refused(&in_graph(&field(1, &many)), "attributes");
        refused(
            &in_graph(&field(12, &[]).repeat(MAX_RESULTS as usize + 1)),
            "outputs",
        );
        let name = vec![b'a'; MAX_NAME as usize + 1];
        for message in [
            field(1, &field(1, &name)),
            field(5, &field(8, &name)),
            field(11, &field(1, &name)),
        ] {
            refused(&in_graph(&message), "bytes in one name");
        }
        // functions count, too
        let function = field(25, &field(7, &[]).repeat(MAX_NODES as usize + 1));
        refused(&function, "nodes");
    }

    #[test]
    fn what_the_decoder_takes_is_taken() {
        let bytes = crate::model::ModelSource::Builtin.bytes().unwrap();
        assert_eq!(check(&bytes), Ok(()));
        // fields that nobody knows, groups among them
        let mut odd = field(99, b"\x01\x02");
        odd.extend([0x0b, 0x08, 0x01, 0x0c]);
        odd.extend([0x09, 1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!(check(&odd), Ok(()));
        for broken in [&b"\xff"[..], b"\x0a\x05a", b"\x0b", b"\x0f"] {
            assert_eq!(check(broken), Err(Refusal::Broken));
            assert!(ModelProto::decode(broken).is_err());
        }
        let mut deep = Vec::new();
        for _ in 0..60 {
            deep = field(1, &field(5, &field(6, &deep)));
        }
        assert_eq!(check(&in_graph(&deep)), Err(Refusal::Broken));
    }
}
