package actors

import (
	"slices"
	"sync"
	"time"
)

// directory finds connections by session and by user. One mutex: it is taken
// once at connect, once at close, and for direct messages.
type directory struct {
	mu       sync.Mutex
	sessions map[string]*Conn   // guarded by mu; by session id, which is unique across tenants
	users    map[topicKey]*Conn // guarded by mu; tenant and user: head of a list through Conn.nextOfUser

	// Sessions without a connection, until the resume window has passed.
	// Guarded by mu; gone is in the order of leaving.
	resumable map[topicKey]int64 // when it left, unix nanoseconds
	gone      []departure
}

// departure is a session that lost its connection.
type departure struct {
	key topicKey
	at  int64 // unix nanoseconds
}

// maxResumable bounds the sessions remembered without a connection. Overflow:
// the one that left first is forgotten, and begins anew if it comes back with
// a token older than the resume window.
const maxResumable = 1 << 17

func newDirectory() *directory {
	return &directory{sessions: make(map[string]*Conn), users: make(map[topicKey]*Conn), resumable: make(map[topicKey]int64)}
}

// knows reports whether a session has a connection, or had one of late.
func (d *directory) knows(tenant, session string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	key := topicKey{tenant, session}
	_, left := d.resumable[key]
	return left || d.sessions[session] != nil
}

// expire forgets sessions that left before the given time.
func (d *directory) expire(before time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	n, limit := 0, before.UnixNano()
	for n < len(d.gone) && (d.gone[n].at < limit || len(d.gone)-n > maxResumable) {
		if d.resumable[d.gone[n].key] == d.gone[n].at { // not if it came back and left again
			delete(d.resumable, d.gone[n].key)
		}
		n++
	}
	d.gone = slices.Delete(d.gone, 0, n)
}

// enter lists c, whose session, user and generation are set. It returns the
// connection that spoke for the session until now, or nil: fence it. c gets
// the higher generation.
func (d *directory) enter(c *Conn) (older *Conn) {
	d.mu.Lock()
	defer d.mu.Unlock()
	key := topicKey{c.tenant, c.sessionID}
	if older = d.sessions[c.sessionID]; older != nil {
		c.generation = max(c.generation, older.generation+1)
		d.unlink(older)
	}
	d.sessions[c.sessionID] = c
	delete(d.resumable, key)
	if c.user != "" {
		user := topicKey{c.tenant, c.user}
		head := d.users[user]
		c.nextOfUser, c.prevOfUser = head, nil
		if head != nil {
			head.prevOfUser = c
		}
		d.users[user] = c
	}
	return older
}

// leave takes c out, if it still is the one for its session, which may be
// resumed from now until the window has passed.
func (d *directory) leave(c *Conn, now time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	key := topicKey{c.tenant, c.sessionID}
	if d.sessions[c.sessionID] == c {
		d.unlink(c)
		at := now.UnixNano()
		d.resumable[key] = at
		d.gone = append(d.gone, departure{key, at})
	}
}

func (d *directory) unlink(c *Conn) {
	delete(d.sessions, c.sessionID)
	if c.user == "" {
		return
	}
	if c.prevOfUser != nil {
		c.prevOfUser.nextOfUser = c.nextOfUser
	} else if c.nextOfUser != nil {
		d.users[topicKey{c.tenant, c.user}] = c.nextOfUser
	} else {
		delete(d.users, topicKey{c.tenant, c.user})
	}
	if c.nextOfUser != nil {
		c.nextOfUser.prevOfUser = c.prevOfUser
	}
	c.nextOfUser, c.prevOfUser = nil, nil
}

func (d *directory) session(tenant, id string) *Conn {
	d.mu.Lock()
	defer d.mu.Unlock()
	if c := d.sessions[id]; c != nil && c.tenant == tenant {
		return c
	}
	return nil
}

// ofUser returns every connection of a user.
func (d *directory) ofUser(tenant, user string) (conns []*Conn) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for c := d.users[topicKey{tenant, user}]; c != nil; c = c.nextOfUser {
		conns = append(conns, c)
	}
	return conns
}

// sizes are the numbers of sessions and of users.
func (d *directory) sizes() (sessions, users int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.sessions), len(d.users)
}
