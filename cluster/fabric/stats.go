package fabric

import "time"

// Stats is a snapshot of a Fabric. Counters count since Open.
type Stats struct {
	MessagesIn       uint64 // handed to the Receiver
	BytesIn          uint64 // of payload, handed to the Receiver
	Dropped          uint64 // by NATS, since a lane or the answers were full; lost
	ForeignMessages  uint64 // ignored: a bad subject, reply subject or canary
	Published        uint64 // given to the control link, canaries and answers included
	PublishesRefused uint64 // with an error to the caller
	PublishesLost    uint64 // the link went down while they waited
	PendingPublishes int    // waiting for the control link

	RequestsInFlight int
	RequestTimeouts  uint64
	RequestsRefused  uint64 // over Config.PendingRequests
	LateReplies      uint64 // after the timeout, or more than one for a request

	GoneAnswers     uint64 // direct messages answered "gone" by this node
	VerdictsOpen    int    // direct messages that wait for GoneDelay
	VerdictsDropped uint64 // direct messages without an arbiter, for lack of room

	Links            int           // connections to NATS
	LinksUp          int           // of them connected and confirmed
	Reconnects       uint64        // of all links
	CanaryRTT        time.Duration // last round trip; 0: none yet
	Interests        int           // NATS subscriptions for channels, lingering included
	Lingering        int           // interests without a subscriber
	InterestsRefused uint64        // over Config.MaxInterests
	PendingMessages  int           // in the fullest lane
}

// Stats returns the counters. It is cheap enough for each scrape, not for each
// message.
func (f *Fabric) Stats() Stats {
	s := Stats{
		MessagesIn:       f.messagesIn.Load(),
		BytesIn:          f.bytesIn.Load(),
		ForeignMessages:  f.foreign.Load(),
		Published:        f.publisher.published.Load(),
		PublishesRefused: f.publisher.refused.Load(),
		PublishesLost:    f.publisher.lost.Load(),
		PendingPublishes: f.publisher.pending(),
		RequestsInFlight: f.requests.inFlight(),
		RequestTimeouts:  f.requests.timeouts.Load(),
		RequestsRefused:  f.requests.refused.Load(),
		LateReplies:      f.requests.late.Load(),
		GoneAnswers:      f.verdicts.gone.Load(),
		VerdictsOpen:     f.verdicts.size(),
		VerdictsDropped:  f.verdicts.dropped.Load(),
		CanaryRTT:        time.Duration(f.rtt.Load()),
		InterestsRefused: f.count.refused.Load(),
	}
	if n, err := f.answers.Dropped(); err == nil {
		s.Dropped += uint64(n)
	}
	for _, n := range f.lanes {
		interests, lingering := n.sizes()
		s.Interests += interests
		s.Lingering += lingering
		s.Dropped += n.drops()
		s.PendingMessages = max(s.PendingMessages, len(n.in))
	}
	for _, l := range f.links() {
		s.Links++
		if l.isConfirmed() {
			s.LinksUp++
		}
		s.Reconnects += l.reconnects.Load()
	}
	return s
}
