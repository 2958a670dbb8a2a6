package fabric

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Names below the data directory. Each mode has a directory of its own, with a
// stamp that says what wrote it.
const (
	dirStandalone = "nats-standalone"
	dirCluster    = "nats-cluster"
	stampFile     = "hawser.stamp"
	lockFile      = "hawser.lock"
)

// store is the stream directory of the embedded server, held by this process.
//
// The stamp guards against the loss that was measured with nats-server 2.15.2:
// a store written standalone and then started in a cluster is taken for
// orphaned streams, and deleted some 30 s later.
type store struct {
	dir  string
	lock *os.File // held until release
}

// stamp is the content of the stamp file.
type stamp struct {
	mode     string // "standalone" or "cluster:<name>"
	accepted string // the other mode's directory, if its streams were left behind knowingly
}

// openStore makes or checks the store for the configured mode, and takes it.
func openStore(e Embedded) (*store, error) {
	mode, own, other := "standalone", dirStandalone, dirCluster
	if e.Cluster.Name != "" {
		mode, own, other = "cluster:"+e.Cluster.Name, dirCluster, dirStandalone
	}
	dir := filepath.Join(e.StoreDir, own)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("fabric: make the NATS store: %w", err)
	}
	lock, err := lockStore(filepath.Join(dir, lockFile))
	if err != nil {
		return nil, fmt.Errorf("fabric: the NATS store %s is used by another process: stop it, or give each node its own data directory: %w", dir, err)
	}
	s := &store{dir: dir, lock: lock}
	if err := s.check(mode, filepath.Join(e.StoreDir, other), e.AcceptFreshStore); err != nil {
		s.release()
		return nil, err
	}
	return s, nil
}

// release lets another process take the store.
func (s *store) release() { _ = s.lock.Close() }

// check compares the stamp with the mode of this start, and stamps a fresh
// store.
func (s *store) check(mode, other string, accept bool) error {
	have, err := readStamp(s.dir)
	if err != nil {
		return err
	}
	if err := s.checkMode(have, mode); err != nil {
		return err
	}
	want := stamp{mode: mode, accepted: have.accepted}
	left, err := hasStreams(other)
	if err != nil {
		return err
	}
	if left && have.accepted != filepath.Base(other) {
		if !accept {
			return fmt.Errorf("fabric: %s holds streams that this mode (%s) does not serve, so they would seem lost: start in the old mode, or copy them (nats stream backup, nats stream restore), or set nats.accept_fresh_store once to start without them", other, mode)
		}
		want.accepted = filepath.Base(other)
	}
	if want == have {
		return nil
	}
	return writeStamp(s.dir, want)
}

// checkMode refuses a store that something else wrote.
func (s *store) checkMode(have stamp, mode string) error {
	if have.mode == mode {
		return nil
	}
	if have.mode != "" {
		return fmt.Errorf("fabric: the NATS store %s was written as %q, and this start is %q: NATS would delete its streams as orphans: start in the old mode, or use another data directory and copy the streams (nats stream backup, nats stream restore)", s.dir, have.mode, mode)
	}
	streams, err := hasStreams(s.dir)
	if err != nil {
		return err
	}
	if streams {
		return fmt.Errorf("fabric: the NATS store %s holds streams but no %s, so nothing says which mode wrote them; in the wrong one NATS deletes them: if it was %q, write the line mode=%s into that file", s.dir, stampFile, mode, mode)
	}
	return nil
}

// hasStreams reports whether a store holds at least one stream, in
// nats-server's layout: jetstream/<account>/streams/<stream>.
func hasStreams(dir string) (bool, error) {
	found, err := filepath.Glob(filepath.Join(escapeGlob(dir), "jetstream", "*", "streams", "*"))
	if err != nil {
		return false, fmt.Errorf("fabric: look for streams in %s: %w", dir, err)
	}
	return len(found) > 0, nil
}

// escapeGlob makes a path match only itself.
func escapeGlob(path string) string {
	return strings.NewReplacer(`*`, `[*]`, `?`, `[?]`, `[`, `[[]`).Replace(path)
}

// readStamp returns a zero stamp when there is none.
func readStamp(dir string) (stamp, error) {
	content, err := os.ReadFile(filepath.Join(dir, stampFile))
	if errors.Is(err, fs.ErrNotExist) {
		return stamp{}, nil
	}
	if err != nil {
		return stamp{}, fmt.Errorf("fabric: read the stamp of the NATS store: %w", err)
	}
	var s stamp
	for line := range strings.Lines(string(content)) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		switch key {
		case "mode":
			s.mode = value
		case "accepted":
			s.accepted = value
		}
	}
	if s.mode == "" {
		return stamp{}, fmt.Errorf("fabric: %s has no line mode=: write mode=standalone or mode=cluster:NAME, by what wrote the store", filepath.Join(dir, stampFile))
	}
	return s, nil
}

// writeStamp replaces the stamp as a whole, so that a crash leaves the old or
// the new one.
func writeStamp(dir string, s stamp) error {
	content := "mode=" + s.mode + "\n"
	if s.accepted != "" {
		content += "accepted=" + s.accepted + "\n"
	}
	path := filepath.Join(dir, stampFile)
	if err := writeSync(path+".tmp", content); err != nil {
		return fmt.Errorf("fabric: stamp the NATS store: %w", err)
	}
	if err := os.Rename(path+".tmp", path); err != nil {
		return fmt.Errorf("fabric: stamp the NATS store: %w", err)
	}
	return nil
}

// writeSync writes a file and waits until the disk has it.
func writeSync(path, content string) (err error) {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	if _, err := file.WriteString(content); err != nil {
		return err
	}
	return file.Sync()
}
