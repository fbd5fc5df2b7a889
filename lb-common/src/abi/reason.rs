//! Why a packet left the program the way it did. Each reason is a counter.

/// What happens to a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Sent on to a backend or a client.
    Forward,
    /// Answered by an RST from the edge; over UDP by ICMP "port unreachable".
    Reset,
    /// Answered by an ICMP message from the edge.
    Answer,
    /// Dropped.
    Drop,
    /// Handed to the kernel.
    Pass,
}

macro_rules! reasons {
    ($($(#[$doc:meta])+ $variant:ident = $value:literal, $fate:ident, $name:literal;)+) => {
        /// Why a packet left the program the way it did.
        #[repr(u32)]
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Reason {
            $($(#[$doc])+ $variant = $value,)+
        }

        impl Reason {
            /// Every reason, in the order of its counter.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The name that tables, metrics and traces use.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }

            /// What happens to a packet that leaves for this reason.
            pub const fn fate(self) -> Fate {
                match self { $(Self::$variant => Fate::$fate,)+ }
            }
        }
    };
}

reasons! {
    /// To the backend of a connection that was there before.
    ForwardEstablished = 0, Forward, "forward_established";
    /// To the backend chosen for a new connection.
    ForwardNew = 1, Forward, "forward_new";
    /// From a `nat` backend back to its client.
    ForwardReply = 2, Forward, "forward_reply";
    /// A policy refused the new connection.
    RefusedReset = 3, Reset, "refused_reset";
    /// The service has no backend for it.
    NoBackend = 4, Reset, "no_backend";
    /// Its backend was removed by force or its time to drain is over.
    BackendBroken = 5, Reset, "backend_broken";
    /// A policy refused the new connection, silently.
    RefusedSilent = 6, Drop, "refused_silent";
    /// The backend's next hop has no known Ethernet address.
    Unreachable = 7, Drop, "unreachable";
    /// A segment for one of our services whose TCP header is cut short or malformed.
    MalformedTcp = 8, Drop, "malformed_tcp";
    /// A fragment to one of our addresses: it names no port.
    Fragment = 9, Drop, "fragment";
    /// The TTL or hop limit would reach 0: answered by "time exceeded".
    TtlExpired = 10, Answer, "ttl_expired";
    /// There is no route back to the client, or the kernel, where it is asked
    /// for one, does not forward.
    NoRoute = 11, Drop, "no_route";
    /// An RST cannot be answered by an RST (RFC 9293 section 3.5.2).
    ResetOfReset = 12, Drop, "reset_of_reset";
    /// The configuration names something that is not there: a defect, never a packet's fault.
    Inconsistent = 13, Drop, "inconsistent";
    /// The packet could not be rewritten.
    RewriteFailed = 14, Drop, "rewrite_failed";
    /// To none of our services.
    NotOurs = 15, Pass, "not_ours";
    /// An EtherType or IP protocol that the program does not steer.
    OtherProtocol = 16, Pass, "other_protocol";
    /// An Ethernet or IP header that is cut short or malformed.
    MalformedIp = 17, Pass, "malformed_ip";
    /// From a `nat` backend to a client whose Ethernet address the kernel must
    /// resolve first: rewritten, and forwarded by the kernel.
    ReplyToKernel = 18, Pass, "reply_to_kernel";
    /// An ICMP error to the backend that owns the flow it quotes.
    ForwardIcmp = 19, Forward, "forward_icmp";
    /// An ICMP error from behind a `nat` backend to the client it concerns.
    ForwardIcmpReply = 20, Forward, "forward_icmp_reply";
    /// An echo request to one of our addresses, answered.
    Echo = 21, Answer, "echo";
    /// Longer than the way to the backend or back to the client takes: answered
    /// by "fragmentation needed" or "packet too big".
    TooBig = 22, Answer, "too_big";
    /// An ICMP answer was due, but this CPU has sent its share for now.
    AnswerLimited = 23, Drop, "answer_limited";
    /// An ICMP answer was due, but not to an ICMP error (RFC 1122 section 3.2.2).
    Unanswerable = 24, Drop, "unanswerable";
    /// To one of our addresses, with more IPv6 extension headers than are followed.
    ExtensionHeaders = 25, Drop, "extension_headers";
    /// A datagram for one of our addresses whose UDP header is cut short or malformed.
    MalformedUdp = 26, Drop, "malformed_udp";
    /// An ICMP message to one of our addresses that is cut short or quotes too little.
    MalformedIcmp = 27, Drop, "malformed_icmp";
}
