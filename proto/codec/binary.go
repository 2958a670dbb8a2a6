package codec

import (
	"encoding/binary"
	"slices"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	clientv1 "hawser/proto/client/v1"
)

// The type bytes of hawser.v1.proto. They let a relay or a route table choose
// without decoding. Values below 0x80 are commands, the others answers and
// pushes; 0 is a kind this version has no name for.
const (
	TypeUnknown     byte = 0x00
	TypeConnect     byte = 0x01 // AUTH in the route tables
	TypePublish     byte = 0x02 // PUB
	TypeSubscribe   byte = 0x03
	TypeUnsubscribe byte = 0x04
	TypeRPC         byte = 0x05
	TypeRefresh     byte = 0x06
	TypePing        byte = 0x07

	TypeConnected    byte = 0x81
	TypePublished    byte = 0x82
	TypeSubscribed   byte = 0x83
	TypeUnsubscribed byte = 0x84
	TypeRPCResult    byte = 0x85
	TypeRefreshed    byte = 0x86
	TypePong         byte = 0x87
	TypeError        byte = 0x88
	TypePublication  byte = 0x89
	TypeDirect       byte = 0x8a
	TypeDisconnect   byte = 0x8b
)

func clientType(m *clientv1.ClientMessage) byte {
	switch m.Body.(type) {
	case *clientv1.ClientMessage_Connect:
		return TypeConnect
	case *clientv1.ClientMessage_Publish:
		return TypePublish
	case *clientv1.ClientMessage_Subscribe:
		return TypeSubscribe
	case *clientv1.ClientMessage_Unsubscribe:
		return TypeUnsubscribe
	case *clientv1.ClientMessage_Rpc:
		return TypeRPC
	case *clientv1.ClientMessage_Refresh:
		return TypeRefresh
	case *clientv1.ClientMessage_Ping:
		return TypePing
	}
	return TypeUnknown
}

func serverType(m *clientv1.ServerMessage) byte {
	switch m.Body.(type) {
	case *clientv1.ServerMessage_Connected:
		return TypeConnected
	case *clientv1.ServerMessage_Published:
		return TypePublished
	case *clientv1.ServerMessage_Subscribed:
		return TypeSubscribed
	case *clientv1.ServerMessage_Unsubscribed:
		return TypeUnsubscribed
	case *clientv1.ServerMessage_Rpc:
		return TypeRPCResult
	case *clientv1.ServerMessage_Refreshed:
		return TypeRefreshed
	case *clientv1.ServerMessage_Pong:
		return TypePong
	case *clientv1.ServerMessage_Error:
		return TypeError
	case *clientv1.ServerMessage_Publication:
		return TypePublication
	case *clientv1.ServerMessage_Direct:
		return TypeDirect
	case *clientv1.ServerMessage_Disconnect:
		return TypeDisconnect
	}
	return TypeUnknown
}

// appendRecord appends type byte, varint length and message. Invalid UTF-8 in
// a string, which protobuf refuses, becomes U+FFFD, as in the JSON form: an
// application's error text can be anything, and must not end a connection.
func appendRecord(dst []byte, kind byte, m proto.Message) []byte {
	record, err := tryAppendRecord(dst, kind, m)
	if err != nil {
		if record, err = tryAppendRecord(dst, kind, withValidText(m)); err != nil {
			panic("codec: marshal of valid text: " + err.Error()) // we have no required fields
		}
	}
	return record
}

func tryAppendRecord(dst []byte, kind byte, m proto.Message) ([]byte, error) {
	size := proto.Size(m)
	dst = slices.Grow(dst, 1+protowire.SizeVarint(uint64(size))+size)
	dst = append(dst, kind)
	dst = binary.AppendUvarint(dst, uint64(size))
	return proto.MarshalOptions{UseCachedSize: true}.MarshalAppend(dst, m)
}

// withValidText is a copy of m with every string made valid UTF-8.
func withValidText(m proto.Message) proto.Message {
	m = proto.Clone(m)
	repair(m.ProtoReflect())
	return m
}

func repair(m protoreflect.Message) {
	m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch f.Kind() {
		case protoreflect.StringKind:
			m.Set(f, protoreflect.ValueOfString(strings.ToValidUTF8(v.String(), "\uFFFD")))
		case protoreflect.MessageKind:
			repair(v.Message())
		}
		return true
	})
}

func decodeRecords[M proto.Message](frame []byte, kindOf func(M) byte, alloc func() M) ([]M, error) {
	if len(frame) == 0 {
		return nil, malformed("empty frame")
	}
	var out []M
	for len(frame) > 0 {
		if len(out) == MaxMessagesPerFrame {
			return nil, malformed("more than %d messages in a frame", MaxMessagesPerFrame)
		}
		kind := frame[0]
		size, n := binary.Uvarint(frame[1:])
		if n <= 0 || size > uint64(len(frame)-1-n) {
			return nil, malformed("record %d: length runs past the frame", len(out))
		}
		m := alloc()
		body := frame[1+n:][:size]
		if err := proto.Unmarshal(body, m); err != nil {
			return nil, malformed("record %d: not protobuf of this schema", len(out))
		}
		if known := kindOf(m); known != TypeUnknown && known != kind {
			return nil, malformed("record %d: type byte 0x%02x over a message of type 0x%02x", len(out), kind, known)
		}
		out = append(out, m)
		frame = frame[1+n+int(size):]
	}
	return out, nil
}
