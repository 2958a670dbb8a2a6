package fabric

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
)

// fakeStream makes a store look as if it held a stream.
func fakeStream(t *testing.T, dataDir, sub string) {
	t.Helper()
	dir := filepath.Join(dataDir, sub, "jetstream", "$G", "streams", "S")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
}

func writeStampFile(t *testing.T, dataDir, sub, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Join(dataDir, sub), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dataDir, sub, stampFile), []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func standalone(dataDir string) Embedded { return Embedded{StoreDir: dataDir} }

func clustered(dataDir, name string) Embedded {
	return Embedded{StoreDir: dataDir, Cluster: Cluster{Name: name}}
}

// mustOpen opens and releases a store.
func mustOpen(t *testing.T, e Embedded) {
	t.Helper()
	s, err := openStore(e)
	if err != nil {
		t.Fatalf("open store: %v", err)
	}
	s.release()
}

// mustRefuse wants an error with all parts in it.
func mustRefuse(t *testing.T, e Embedded, parts ...string) {
	t.Helper()
	s, err := openStore(e)
	if err == nil {
		s.release()
		t.Fatal("a store was opened that must be refused")
	}
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("got %q, want %q in it", err, part)
		}
	}
}

func TestStoreOpensAgainInItsMode(t *testing.T) {
	for _, e := range []Embedded{standalone(t.TempDir()), clustered(t.TempDir(), "c")} {
		mustOpen(t, e)
		fakeStream(t, e.StoreDir, dirStandalone)
		if e.Cluster.Name != "" {
			e.AcceptFreshStore = true
		}
		mustOpen(t, e)
	}
}

func TestStoreRefusesAnotherMode(t *testing.T) {
	dir := t.TempDir()
	mustOpen(t, clustered(dir, "one"))
	mustRefuse(t, clustered(dir, "two"), `"cluster:one"`, `"cluster:two"`, "delete its streams", "nats stream backup")
	// A standalone store moved by hand to where a cluster looks.
	dir = t.TempDir()
	writeStampFile(t, dir, dirCluster, "mode=standalone\n")
	mustRefuse(t, clustered(dir, "one"), `"standalone"`, "delete its streams")
	writeStampFile(t, dir, dirStandalone, "mode=cluster:one\n")
	mustRefuse(t, standalone(dir), `"cluster:one"`, "another data directory")
}

func TestStoreRefusesStreamsWithoutStamp(t *testing.T) {
	dir := t.TempDir()
	fakeStream(t, dir, dirStandalone)
	mustRefuse(t, standalone(dir), stampFile, "mode=standalone")
	writeStampFile(t, dir, dirStandalone, "mode=standalone\n") // what the error says
	mustOpen(t, standalone(dir))
}

func TestStoreRefusesADamagedStamp(t *testing.T) {
	for _, content := range []string{"", "standalone\n", "accepted=nats-cluster\n", "mode=\n"} {
		dir := t.TempDir()
		writeStampFile(t, dir, dirStandalone, content)
		mustRefuse(t, standalone(dir), "mode=")
	}
}

func TestStoreRefusesToHideTheOtherModesStreams(t *testing.T) {
	dir := t.TempDir()
	mustOpen(t, standalone(dir))
	fakeStream(t, dir, dirStandalone)
	mustRefuse(t, clustered(dir, "c"), dirStandalone, "would seem lost", "nats.accept_fresh_store")
	accepting := clustered(dir, "c")
	accepting.AcceptFreshStore = true
	mustOpen(t, accepting)
	mustOpen(t, clustered(dir, "c")) // remembered
	mustOpen(t, standalone(dir))     // the old mode still has its streams
	fakeStream(t, dir, dirCluster)
	mustRefuse(t, standalone(dir), dirCluster) // and now would hide the cluster's
}

func TestStoreIsForOneProcess(t *testing.T) {
	dir := t.TempDir()
	s, err := openStore(standalone(dir))
	if err != nil {
		t.Fatal(err)
	}
	defer s.release()
	mustRefuse(t, standalone(dir), "used by another process", "data directory")
}

func TestStoreDirWithGlobCharacters(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a[b]*?c")
	fakeStream(t, dir, dirStandalone)
	mustRefuse(t, standalone(dir), stampFile)
}

func TestStoreDirThatCannotBeMade(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	mustRefuse(t, standalone(file), "make the NATS store")
}

// The same with the real server: streams outlive a restart, and the guard
// stands before them.
func TestStreamsOutliveARestartAndAreGuarded(t *testing.T) {
	cfg := testConfig()
	cfg.Embedded.JetStream = true
	cfg.Embedded.StoreDir = t.TempDir()
	f := openFabric(t, cfg, newRecorder())
	eventuallyReady(t, f)
	js := jetStream(t, f)
	if _, err := js.AddStream(&nats.StreamConfig{Name: "S", Subjects: []string{"s.>"}}); err != nil {
		t.Fatal(err)
	}
	if _, err := js.Publish("s.a", []byte("x")); err != nil {
		t.Fatal(err)
	}
	closeFabric(t, f)

	inCluster := cfg
	inCluster.Embedded.Cluster = Cluster{Name: "c", Listen: "127.0.0.1:0"}
	if g, err := Open(t.Context(), inCluster, newRecorder()); err == nil {
		closeFabric(t, g)
		t.Fatal("a cluster started over standalone streams")
	}
	f = openFabric(t, cfg, newRecorder())
	info, err := jetStream(t, f).StreamInfo("S")
	if err != nil {
		t.Fatalf("the stream is lost: %v", err)
	}
	if info.State.Msgs != 1 {
		t.Errorf("got %d messages, want 1", info.State.Msgs)
	}
}

// A lone node of a cluster has no JetStream leader, so it must not look ready.
func TestLoneClusterNodeIsForming(t *testing.T) {
	cfg := testConfig()
	cfg.Embedded.JetStream = true
	cfg.Embedded.StoreDir = t.TempDir()
	cfg.Embedded.Cluster = Cluster{Name: "c", Listen: "127.0.0.1:0", Routes: []string{"nats://127.0.0.1:1"}}
	f := openFabric(t, cfg, newRecorder())
	if err := f.Ready(); err == nil || !strings.Contains(err.Error(), "forming") {
		t.Errorf("got %v, want forming", err)
	}
}

func jetStream(t *testing.T, f *Fabric) nats.JetStreamContext {
	t.Helper()
	js, err := app(t, f.URL()).JetStream()
	if err != nil {
		t.Fatal(err)
	}
	return js
}
