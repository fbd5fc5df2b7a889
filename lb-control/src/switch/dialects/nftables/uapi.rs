//! Numbers of the kernel's interface: `linux/netfilter/nf_tables.h`,
//! `nfnetlink.h`, `nfnetlink_conntrack.h`, and what nft(8) reads besides.

pub(super) use libc::{
    NF_ACCEPT, NF_DROP, NF_INET_FORWARD, NF_INET_LOCAL_OUT, NF_INET_POST_ROUTING,
    NF_INET_PRE_ROUTING, NFNL_MSG_BATCH_BEGIN, NFNL_MSG_BATCH_END, NFT_CT_DST_IP, NFT_CT_DST_IP6,
    NFT_CT_PROTO_DST, NFT_CT_PROTO_SRC, NFT_CT_SRC_IP, NFT_CT_SRC_IP6, NFT_CT_STATUS, NFT_GOTO,
    NFT_JUMP, NFT_META_L4PROTO, NFT_META_NFPROTO, NFT_RETURN,
};

/// Makes constants of one type from `NAME = number`.
macro_rules! numbers {
    ($type:ty: $($name:ident = $number:expr),* $(,)?) => {
        $(pub(super) const $name: $type = $number;)*
    };
}

// Families in headers.
numbers!(u8: NFPROTO_UNSPEC = 0, NFPROTO_INET = 1, NFPROTO_IPV4 = 2, NFPROTO_IPV6 = 10);

// Subsystem and message, as they stand in a header.
numbers!(u16:
    CT_GET = 1 << 8 | 1, CT_DELETE = 1 << 8 | 2,
    NEWTABLE = 10 << 8, GETTABLE = 10 << 8 | 1, DELTABLE = 10 << 8 | 2,
    NEWCHAIN = 10 << 8 | 3, GETCHAIN = 10 << 8 | 4, DELCHAIN = 10 << 8 | 5,
    NEWRULE = 10 << 8 | 6, GETRULE = 10 << 8 | 7, DELRULE = 10 << 8 | 8,
    NEWSET = 10 << 8 | 9, GETSET = 10 << 8 | 10, DELSET = 10 << 8 | 11,
    NEWSETELEM = 10 << 8 | 12, GETSETELEM = 10 << 8 | 13, DELSETELEM = 10 << 8 | 14,
    GETGEN = 10 << 8 | 16,
);

// Attributes.
numbers!(u16:
    BATCH_GENID = 1, GEN_ID = 1, LIST_ELEM = 1,
    TABLE_NAME = 1, TABLE_FLAGS = 2, TABLE_HANDLE = 4, TABLE_USERDATA = 6,
    CHAIN_TABLE = 1, CHAIN_NAME = 3, CHAIN_HOOK = 4, CHAIN_POLICY = 5, CHAIN_TYPE = 7,
    HOOK_NUMBER = 1, HOOK_PRIORITY = 2,
    RULE_TABLE = 1, RULE_CHAIN = 2, RULE_EXPRESSIONS = 4, RULE_USERDATA = 7,
    SET_TABLE = 1, SET_NAME = 2, SET_FLAGS = 3, SET_KEY_TYPE = 4, SET_KEY_LEN = 5,
    SET_DATA_TYPE = 6, SET_DATA_LEN = 7, SET_ID = 10, SET_USERDATA = 13, SET_EXPR = 17,
    ELEMENTS_TABLE = 1, ELEMENTS_SET = 2, ELEMENTS = 3,
    ELEMENT_KEY = 1, ELEMENT_DATA = 2, ELEMENT_FLAGS = 3, ELEMENT_EXPR = 7,
    ELEMENT_EXPRESSIONS = 11,
    DATA_VALUE = 1, DATA_VERDICT = 2, VERDICT_CODE = 1, VERDICT_CHAIN = 2,
    EXPR_NAME = 1, EXPR_DATA = 2,
    PAYLOAD_DREG = 1, PAYLOAD_BASE = 2, PAYLOAD_OFFSET = 3, PAYLOAD_LEN = 4,
    META_DREG = 1, META_KEY = 2, CT_DREG = 1, CT_KEY = 2, CT_DIRECTION = 3,
    BITWISE_SREG = 1, BITWISE_DREG = 2, BITWISE_LEN = 3, BITWISE_MASK = 4, BITWISE_XOR = 5,
    CMP_SREG = 1, CMP_OP = 2, CMP_DATA = 3,
    BYTEORDER_SREG = 1, BYTEORDER_DREG = 2, BYTEORDER_OP = 3, BYTEORDER_LEN = 4,
    BYTEORDER_SIZE = 5,
    NUMGEN_DREG = 1, NUMGEN_MODULUS = 2, NUMGEN_TYPE = 3,
    HASH_SREG = 1, HASH_DREG = 2, HASH_LEN = 3, HASH_MODULUS = 4, HASH_SEED = 5, HASH_TYPE = 7,
    LOOKUP_SET = 1, LOOKUP_SREG = 2, LOOKUP_DREG = 3,
    IMMEDIATE_DREG = 1, IMMEDIATE_DATA = 2,
    NAT_TYPE = 1, NAT_FAMILY = 2, NAT_ADDR = 3, NAT_PROTO = 5,
    REJECT_TYPE = 1, REJECT_CODE = 2,
    COUNTER_PACKETS = 2,
    CTA_TUPLE_ORIG = 1, CTA_TUPLE_REPLY = 2, CTA_STATUS = 3, CTA_PROTOINFO = 4, CTA_ID = 12,
    CTA_ZONE = 18, CTA_STATUS_MASK = 26, CTA_TUPLE_IP = 1, CTA_TUPLE_PROTO = 2,
    CTA_IP_V4_SRC = 1, CTA_IP_V4_DST = 2, CTA_IP_V6_SRC = 3, CTA_IP_V6_DST = 4,
    CTA_PROTO_NUM = 1, CTA_PROTO_SRC_PORT = 2, CTA_PROTO_DST_PORT = 3,
    CTA_PROTOINFO_TCP = 1, CTA_PROTOINFO_TCP_STATE = 1,
);

// Values. `IPS_DST_NAT`: the connection's destination is translated.
numbers!(u32:
    SET_INTERVAL = 4, SET_MAP = 8, ELEMENT_INTERVAL_END = 1,
    NETWORK_HEADER = 1, TRANSPORT_HEADER = 2,
    CMP_EQ = 0, CMP_NEQ = 1, CMP_LT = 2,
    BYTEORDER_HTON = 1, NG_RANDOM = 1, HASH_JENKINS = 0, NAT_DNAT = 1,
    REJECT_TCP_RST = 1, REJECT_ICMPX = 2,
    DATA_TYPE_VERDICT = 0xffff_ff00,
    IPS_DST_NAT = 1 << 5,
);
numbers!(u8:
    ICMPX_PORT_UNREACHABLE = 1, ORIGINAL = 0, REPLY = 1,
    TCP_TIME_WAIT = 7, TCP_CLOSE = 8,
    TCP_FLAGS_OFFSET = 13,
);

// Types of nft(8) (`enum datatypes`), so that it shows our sets as people write
// them; a concatenation has six bits for each.
numbers!(u32: IPV4_ADDR = 7, IPV6_ADDR = 8, INET_PROTO = 12, INET_SERVICE = 13, MARK = 19);
pub(super) const TYPE_BITS: u32 = 6;
/// Userdata of nft(8): a comment; the byte order of a set's keys, and the host's.
pub(super) const USERDATA_COMMENT: u8 = 0;
pub(super) const USERDATA_KEY_ORDER: [u8; 6] = [0, 4, 1, 0, 0, 0];
