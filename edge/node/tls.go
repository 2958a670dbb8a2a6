package node

import (
	"crypto/tls"
	"fmt"
	"os"
	"sync"
	"time"
)

// newTLS serves a certificate that may be replaced on disk while the node
// runs: the files are looked at again at most once a second.
func newTLS(certFile, keyFile string) (*tls.Config, error) {
	c := &certificate{certFile: certFile, keyFile: keyFile}
	if _, err := c.get(nil); err != nil {
		return nil, err
	}
	return &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: c.get, NextProtos: []string{"http/1.1"}}, nil
}

type certificate struct {
	certFile, keyFile string

	mu      sync.Mutex
	looked  time.Time        // guarded by mu
	written time.Time        // guarded by mu; modification time of certFile
	loaded  *tls.Certificate // guarded by mu
}

func (c *certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.loaded != nil && time.Since(c.looked) < time.Second {
		return c.loaded, nil
	}
	c.looked = time.Now()
	info, err := os.Stat(c.certFile)
	if err == nil && c.loaded != nil && info.ModTime().Equal(c.written) {
		return c.loaded, nil
	}
	var pair tls.Certificate
	if err == nil {
		pair, err = tls.LoadX509KeyPair(c.certFile, c.keyFile)
	}
	if err != nil {
		if c.loaded != nil {
			return c.loaded, nil // half a replacement: the old one still works
		}
		return nil, fmt.Errorf("edge.tls_cert_file: %w", err)
	}
	c.loaded, c.written = &pair, info.ModTime()
	return c.loaded, nil
}
