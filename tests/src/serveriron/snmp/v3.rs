//! SNMPv3 messages (RFC 3412, RFC 3414).

use rasn::types::Integer;
use rasn_smi::{
    v1::Counter,
    v2::{ApplicationSyntax, ObjectSyntax},
};
use rasn_snmp::{
    v2::{Pdu, Pdus, Report, Response, VarBind, VarBindValue},
    v3::{HeaderData, Message, ScopedPdu, ScopedPduData, USMSecurityParameters},
};

use super::{
    answer::{Access, Answer, Objects, identifier},
    usm::{Keys, Nonce},
};
use crate::serveriron::{User, device::Device};

const AUTH: u8 = 1;
const PRIVACY: u8 = 2;
const REPORTABLE: u8 = 4;
/// How far a message's time may be off, in seconds (RFC 3414 section 2.2.3).
const WINDOW: u32 = 150;
/// usmStats (RFC 3414 section 5), without their last two numbers.
const USM_STATS: [u32; 9] = [1, 3, 6, 1, 6, 3, 15, 1, 1];

/// Why a message is answered by a report: the number of the object that
/// counts it below usmStats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Complaint {
    UnsupportedSecLevels = 1,
    NotInTimeWindows = 2,
    UnknownUserNames = 3,
    UnknownEngineIds = 4,
    WrongDigests = 5,
    DecryptionErrors = 6,
}

/// This engine, and who may talk to it.
#[derive(Debug)]
pub(super) struct Engine {
    id: Vec<u8>,
    users: Vec<(User, Keys)>,
    salt: u64,
    complaints: [u32; 6],
}

/// Who asked, and how it wants to be answered.
struct Asker<'a> {
    message_id: Integer,
    user_name: Vec<u8>,
    /// `None` for answers in the clear.
    keys: Option<&'a Keys>,
    private: bool,
    boots: u32,
    time: u32,
}

impl Engine {
    pub(super) fn new(users: &[User]) -> Self {
        let mut random = fastrand::Rng::new();
        // RFC 3411 section 5, SnmpEngineID: enterprise 1991, octets of our own.
        let mut id = vec![0x80, 0x00, 0x07, 0xc7, 0x05];
        id.extend(random.u64(..).to_be_bytes());
        let keys = |user: &User| (user.clone(), Keys::new(user, &id));
        let users = users.iter().map(keys).collect();
        Self { id, users, salt: random.u64(..), complaints: [0; 6] }
    }

    /// Answers a datagram; `None` where there is nothing to say.
    pub(super) async fn answer(
        &mut self,
        device: &Device,
        objects: &mut Objects,
        datagram: &[u8],
    ) -> Option<Vec<u8>> {
        let message: Message = rasn::ber::decode(datagram).ok()?;
        let security: USMSecurityParameters =
            message.decode_security_parameters(rasn::Codec::Ber).ok()?;
        let flags = message.global_data.flags.first().copied()?;
        let (boots, time) = device.read(|state| (state.boots(), state.uptime().as_secs()));
        let time = u32::try_from(time).unwrap_or(u32::MAX);
        let mut asker = Asker {
            message_id: message.global_data.message_id.clone(),
            user_name: security.user_name.to_vec(),
            keys: None,
            private: false,
            boots,
            time,
        };
        let found = self.users.iter().position(|(user, _)| user.name.as_bytes() == asker.user_name);
        let checked = if security.authoritative_engine_id.as_ref() != self.id {
            Err(Complaint::UnknownEngineIds)
        } else if let Some((_, keys)) = found.and_then(|at| self.users.get(at)) {
            check(datagram, &message, &security, keys, flags, (boots, time))
        } else {
            Err(Complaint::UnknownUserNames)
        };
        // Split borrows: counters change while keys are held.
        let Self { id, users, salt, complaints } = self;
        let keys = found.and_then(|at| users.get(at)).map(|(_, keys)| keys);
        *salt = salt.wrapping_add(1);
        let data = match checked {
            Ok((access, scoped)) => {
                asker.keys = keys.filter(|_| flags & AUTH != 0);
                asker.private = flags & PRIVACY != 0;
                match objects.answer(scoped.data, access).await? {
                    Answer::Response(response) => Pdus::Response(Response(response)),
                    Answer::Raw(bytes) => return Some(bytes),
                }
            }
            Err(_) if flags & REPORTABLE == 0 => return None,
            Err(complaint) => {
                if complaint == Complaint::NotInTimeWindows {
                    // Signed, so that it may be believed.
                    asker.keys = keys;
                }
                report(complaints, complaint, &message.scoped_data)
            }
        };
        let scoped = ScopedPdu { engine_id: id.clone().into(), name: [].into(), data };
        write(id, &asker, scoped, salt.to_be_bytes())
    }
}

/// Whether a message is what it says it is (RFC 3414 section 3.2), what its
/// sender may do, and what it asks.
fn check(
    datagram: &[u8],
    message: &Message,
    security: &USMSecurityParameters,
    keys: &Keys,
    flags: u8,
    (our_boots, our_time): (u32, u32),
) -> Result<(Access, ScopedPdu), Complaint> {
    if flags & AUTH == 0 {
        return match &message.scoped_data {
            ScopedPduData::CleartextPdu(scoped) if flags & PRIVACY == 0 => {
                Ok((Access::None, scoped.clone()))
            }
            _ => Err(Complaint::UnsupportedSecLevels),
        };
    }
    let mut unsigned = datagram.to_vec();
    let signature = security.authentication_parameters.as_ref();
    let place = find_signature(datagram, &message.security_parameters, signature);
    let zeroed = place.and_then(|at| unsigned.get_mut(at..at + signature.len()));
    zeroed.ok_or(Complaint::WrongDigests)?.fill(0);
    if signature.len() != keys.signature_length() || keys.sign(&unsigned) != signature {
        return Err(Complaint::WrongDigests);
    }
    let boots = u32::try_from(&security.authoritative_engine_boots);
    let time = u32::try_from(&security.authoritative_engine_time);
    let (Ok(boots), Ok(time)) = (boots, time) else { return Err(Complaint::NotInTimeWindows) };
    if boots != our_boots || time.abs_diff(our_time) > WINDOW {
        return Err(Complaint::NotInTimeWindows);
    }
    match &message.scoped_data {
        ScopedPduData::CleartextPdu(scoped) if flags & PRIVACY == 0 => {
            let access = if keys.has_privacy() { Access::None } else { Access::Write };
            Ok((access, scoped.clone()))
        }
        ScopedPduData::EncryptedPdu(_) if !keys.has_privacy() => {
            Err(Complaint::UnsupportedSecLevels)
        }
        ScopedPduData::EncryptedPdu(text) if flags & PRIVACY != 0 => {
            let salt = security.privacy_parameters.as_ref().try_into();
            let nonce = Nonce { boots, time, salt: salt.map_err(|_| Complaint::DecryptionErrors)? };
            let mut text = text.to_vec();
            keys.decrypt(&nonce, &mut text).ok_or(Complaint::DecryptionErrors)?;
            let scoped = rasn::ber::decode(&text).map_err(|_| Complaint::DecryptionErrors)?;
            Ok((Access::Write, scoped))
        }
        _ => Err(Complaint::DecryptionErrors),
    }
}

fn report(complaints: &mut [u32; 6], complaint: Complaint, asked: &ScopedPduData) -> Pdus {
    let number = complaint as u32;
    let mut count = 1;
    if let Some(counter) = complaints.iter_mut().zip(1..).find(|(_, at)| *at == number) {
        *counter.0 += 1;
        count = *counter.0;
    }
    let request_id = match asked {
        ScopedPduData::CleartextPdu(scoped) => request_id(&scoped.data),
        ScopedPduData::EncryptedPdu(_) => 0,
    };
    let value = ApplicationSyntax::Counter(Counter(count));
    let variable = VarBind {
        name: identifier(&[&USM_STATS[..], &[number, 0]].concat()),
        value: VarBindValue::Value(ObjectSyntax::ApplicationWide(value)),
    };
    let (error_status, error_index) = (0, 0);
    Pdus::Report(Report(Pdu {
        request_id,
        error_status,
        error_index,
        variable_bindings: vec![variable],
    }))
}

/// A message to `asker`, encrypted and signed as it asked.
fn write(id: &[u8], asker: &Asker<'_>, scoped: ScopedPdu, salt: [u8; 8]) -> Option<Vec<u8>> {
    let Asker { message_id, user_name, keys, private, boots, time } = asker;
    let mut flags = 0;
    let mut security = USMSecurityParameters {
        authoritative_engine_id: id.into(),
        authoritative_engine_boots: (*boots).into(),
        authoritative_engine_time: (*time).into(),
        user_name: user_name.as_slice().into(),
        authentication_parameters: [].into(),
        privacy_parameters: [].into(),
    };
    let mut scoped_data = ScopedPduData::CleartextPdu(scoped.clone());
    let mut empty = Vec::new();
    if let Some(keys) = keys {
        flags |= AUTH;
        empty = vec![0; keys.signature_length()];
        security.authentication_parameters = empty.clone().into();
        if *private {
            flags |= PRIVACY;
            let mut text = rasn::ber::encode(&scoped).ok()?;
            keys.encrypt(&Nonce { boots: *boots, time: *time, salt }, &mut text)?;
            scoped_data = ScopedPduData::EncryptedPdu(text.into());
            security.privacy_parameters = salt.into();
        }
    }
    let global_data = HeaderData {
        message_id: message_id.clone(),
        max_size: 65_507.into(),
        flags: [flags].into(),
        security_model: 3.into(),
    };
    let security_parameters = rasn::ber::encode(&security).ok()?;
    let message = Message {
        version: 3.into(),
        global_data,
        security_parameters: security_parameters.clone().into(),
        scoped_data,
    };
    let mut bytes = rasn::ber::encode(&message).ok()?;
    if let Some(keys) = keys {
        let at = find_signature(&bytes, &security_parameters, &empty)?;
        let signature = keys.sign(&bytes);
        bytes.get_mut(at..at + signature.len())?.copy_from_slice(&signature);
    }
    Some(bytes)
}

/// Where a message has its signature: behind all else of its security
/// parameters but the salt.
fn find_signature(message: &[u8], security: &[u8], signature: &[u8]) -> Option<usize> {
    if signature.is_empty() {
        return None;
    }
    let begin = message.windows(security.len()).position(|part| part == security)?;
    let within = security.windows(signature.len()).rposition(|part| part == signature)?;
    Some(begin + within)
}

fn request_id(pdus: &Pdus) -> i32 {
    match pdus {
        Pdus::GetRequest(request) => request.0.request_id,
        Pdus::GetNextRequest(request) => request.0.request_id,
        Pdus::SetRequest(request) => request.0.request_id,
        Pdus::GetBulkRequest(request) => request.0.request_id,
        Pdus::Response(_) | Pdus::InformRequest(_) | Pdus::Trap(_) | Pdus::Report(_) => 0,
    }
}
