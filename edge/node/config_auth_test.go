package node

import (
	"net"
	"reflect"
	"strings"
	"testing"

	"hawser/edge/auth"
)

func TestVerifier(t *testing.T) {
	pair, err := auth.GenerateKey(auth.EdDSA)
	if err != nil {
		t.Fatal(err)
	}
	path := writeFile(t, "key.pem", pair.Public)
	c := good().Auth
	c.Issuer, c.Audience, c.PublicKeys = "i", "a", []string{path, "k1=" + path}
	got, err := c.Verifier()
	if err != nil {
		t.Fatal(err)
	}
	want := []auth.PublicKey{{PEM: pair.Public}, {ID: "k1", PEM: pair.Public}}
	if !reflect.DeepEqual(got.PublicKeys, want) || got.HMACSecret != goodSecret || got.Issuer != "i" || got.Audience != "a" {
		t.Errorf("got %+v", got)
	}
	c.PublicKeys = []string{"/nowhere/key.pem"}
	if _, err := c.Verifier(); err == nil || !strings.HasPrefix(err.Error(), "auth.public_keys: open /nowhere/key.pem") {
		t.Errorf("missing file: got %v", err)
	}
	c.PublicKeys = []string{writeFile(t, "bad.pem", "not a key")}
	if _, err := c.Verifier(); err == nil {
		t.Error("a file without a key was taken")
	}
}

func TestListenNamesKeyAndAddress(t *testing.T) {
	first, err := listen(new(net.ListenConfig), "edge.listen", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	address := first.Addr().String()
	_, err = listen(new(net.ListenConfig), "admin.listen", address)
	if err == nil || !strings.Contains(err.Error(), "admin.listen "+address+": another process has this port") {
		t.Errorf("port taken: got %v", err)
	}
	if _, err := listen(new(net.ListenConfig), "edge.listen", "192.0.2.1:0"); err == nil || !strings.HasPrefix(err.Error(), "edge.listen 192.0.2.1:0: ") {
		t.Errorf("not our address: got %v", err)
	}
}
