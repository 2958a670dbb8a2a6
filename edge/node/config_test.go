package node

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "rewrite the golden files in testdata")

const (
	goodSecret  = "0123456789abcdef0123456789abcdef"
	otherSecret = "fedcba9876543210fedcba9876543210"
)

// good is the least Config that validates.
func good() Config {
	c := DefaultConfig()
	c.Auth.HMACSecret = goodSecret
	return c
}

func writeFile(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestDefaultsAreGoodButForAKey(t *testing.T) {
	err := DefaultConfig().Validate()
	if err == nil || !strings.Contains(err.Error(), "no client could connect") || strings.Contains(err.Error(), "\n") {
		t.Errorf("default: got %v, want the missing key and nothing else", err)
	}
	if err := good().Validate(); err != nil {
		t.Errorf("default with a key: %v", err)
	}
	if got := good().Warnings(); len(got) != 0 {
		t.Errorf("default with a key: warnings %q", got)
	}
	dev := DevConfig()
	if err := dev.Validate(); err != nil {
		t.Errorf("dev: %v", err)
	}
	if err := CheckDev(dev); err != nil {
		t.Errorf("dev: %v", err)
	}
}

// TestPrecedence sets one key in each source that has it, and reads which
// one won, with a secret's two spellings among them.
func TestPrecedence(t *testing.T) {
	file := writeFile(t, "hawser.yml", `
edge: {listen: "127.0.0.1:1", ping_interval: 11s, max_message_bytes: 1KiB}
auth: {hmac_secret: `+goodSecret+`}
`)
	secretFile := writeFile(t, "secret", otherSecret+"\n")
	for _, test := range []struct {
		name    string
		environ []string
		flags   map[string]string
		listen  string
		secret  Secret
	}{
		{"file over default", nil, nil, "127.0.0.1:1", goodSecret},
		{"environment over file", []string{"HAWSER_EDGE_LISTEN=127.0.0.1:2"}, nil, "127.0.0.1:2", goodSecret},
		{"flag over environment", []string{"HAWSER_EDGE_LISTEN=127.0.0.1:2"},
			map[string]string{"edge.listen": "127.0.0.1:3"}, "127.0.0.1:3", goodSecret},
		{"empty environment counts as not set", []string{"HAWSER_EDGE_LISTEN="}, nil, "127.0.0.1:1", goodSecret},
		{"a _file in the environment over the secret in the file",
			[]string{"HAWSER_AUTH_HMAC_SECRET_FILE=" + secretFile}, nil, "127.0.0.1:1", otherSecret},
		{"a secret flag over a _file in the environment", []string{"HAWSER_AUTH_HMAC_SECRET_FILE=/nowhere"},
			map[string]string{"auth.hmac_secret": otherSecret}, "127.0.0.1:1", otherSecret},
		{"other variables are not read", []string{"PATH=/bin", "HAWSER=1", "HAWSER_CONFIG=x"}, nil, "127.0.0.1:1", goodSecret},
	} {
		t.Run(test.name, func(t *testing.T) {
			c, err := Load(Sources{Base: DefaultConfig(), File: file, Environ: test.environ, Flags: test.flags})
			if err != nil {
				t.Fatal(err)
			}
			if c.Edge.Listen != test.listen || c.Auth.HMACSecret != test.secret {
				t.Errorf("got listen %s, secret %q; want %s, %q", c.Edge.Listen, c.Auth.HMACSecret.Reveal(), test.listen, test.secret.Reveal())
			}
			if c.Edge.PingInterval != 11*time.Second || c.Edge.MaxMessageBytes != KiB || c.Edge.PongTimeout != 10*time.Second {
				t.Errorf("got %v, %v, %v; want 11s and 1KiB from the file, 10s by default", c.Edge.PingInterval, c.Edge.MaxMessageBytes, c.Edge.PongTimeout)
			}
		})
	}
}

// TestEveryKeyInEverySource writes each key's default through file,
// environment and flag, and must read back what it was.
func TestEveryKeyInEverySource(t *testing.T) {
	var defaults bytes.Buffer
	if err := WriteDefaults(&defaults); err != nil {
		t.Fatal(err)
	}
	flags, environ := map[string]string{}, []string{}
	for _, k := range Keys(DefaultConfig()) {
		flags[k.Path] = k.Default
		environ = append(environ, k.Env+"="+k.Default)
	}
	delete(flags, "auth.hmac_secret")
	base := Config{Auth: AuthConfig{HMACSecret: goodSecret}}
	for name, s := range map[string]Sources{
		"file":        {Base: base, File: writeFile(t, "hawser.yml", defaults.String()), Flags: map[string]string{"auth.hmac_secret": goodSecret}},
		"environment": {Base: base, Environ: environ},
		"flags":       {Base: base, Flags: flags},
	} {
		got, err := Load(s)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if want := good(); !reflect.DeepEqual(got, want) {
			t.Errorf("%s:\n got %+v\nwant %+v", name, got, want)
		}
	}
}

func TestLists(t *testing.T) {
	want := []string{"https://a.example", "https://b.example"}
	file := writeFile(t, "hawser.yml", "edge:\n  origins: &o [https://a.example, https://b.example]\nnats:\n  routes: *o\n  cluster_name: c\n  cluster_listen: 127.0.0.1:0\n")
	c, err := Load(Sources{Base: good(), File: file, Flags: map[string]string{"nats.routes": "nats://a:1, nats://b:2"}})
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(c.Edge.Origins, want) || !reflect.DeepEqual(c.NATS.Routes, []string{"nats://a:1", "nats://b:2"}) {
		t.Errorf("got %q and %q", c.Edge.Origins, c.NATS.Routes)
	}
}

func TestChannelRules(t *testing.T) {
	const oneLine = `[{pattern: "chat.*", subscribe: allow, publish: token, publish_to: channel}, {pattern: news, subscribe: token, publish: allow}]`
	want := []ChannelRule{
		{Pattern: "chat.*", Subscribe: Allow, Publish: ByToken, PublishTo: ToChannel},
		{Pattern: "news", Subscribe: ByToken, Publish: Allow, PublishTo: ToApp},
	}
	for name, s := range map[string]Sources{
		"file":        {Base: good(), File: writeFile(t, "hawser.yml", "channels: "+oneLine)},
		"environment": {Base: good(), Environ: []string{"HAWSER_CHANNELS=" + oneLine}},
		"flag":        {Base: good(), Flags: map[string]string{"channels": oneLine}},
	} {
		c, err := Load(s)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if !reflect.DeepEqual(c.Channels, want) {
			t.Errorf("%s: got %+v", name, c.Channels)
		}
	}
}

// TestRefusedFiles are the mistakes that people make in the file; each answer
// says where and what instead.
func TestRefusedFiles(t *testing.T) {
	secretFile := writeFile(t, "secret", goodSecret)
	emptyFile := writeFile(t, "empty", "\n")
	for name, test := range map[string]struct{ text, want string }{
		"unknown key":           {"edge:\n  listen: :80\n  ping_intervall: 3s", `hawser.yml:3: unknown key "edge.ping_intervall" (did you mean "edge.ping_interval"?)`},
		"key of other section":  {"edge:\n  hmac_secret: x", `hawser.yml:2: unknown key "edge.hmac_secret" (did you mean "auth.hmac_secret"?)`},
		"unknown, nothing near": {"edge:\n  turbo: 1", `hawser.yml:2: unknown key "edge.turbo"`},
		"unknown section":       {"\negde: {}", `hawser.yml:2: unknown section "egde" (did you mean "edge"?)`},
		"key twice":             {"edge:\n  listen: :1\n  listen: :2", `hawser.yml:3: "listen" is there twice, first in line 2: keep one`},
		"section is a list":     {"edge: [1]", "hawser.yml:1: section edge: want key: value lines, found a list"},
		"file is a text":        {"hello", "hawser.yml:1: the file: want key: value lines, found a single value"},
		"two documents":         {"edge: {}\n---\nedge: {}", "hawser.yml: want one YAML document, found a second after ---"},
		"not YAML":              {"edge:\n\tlisten: x", "hawser.yml: yaml: line 2:"},
		"no unit":               {"edge:\n  ping_interval: 25", `hawser.yml:2: edge.ping_interval: "25": want a duration with its unit, such as 10s, 250ms or 2m`},
		"not a size":            {"edge:\n  max_message_bytes: 64KB", `hawser.yml:2: edge.max_message_bytes: "64KB": want bytes such as 65536, 64KiB or 1MiB`},
		"size overflows":        {"nats:\n  max_store: 9999999PiB", `hawser.yml:2: nats.max_store: "9999999PiB": want bytes`},
		"not a number":          {"edge:\n  shards: many", `hawser.yml:2: edge.shards: "many": want a whole number`},
		"not a bool":            {"admin:\n  pprof: yes", `hawser.yml:2: admin.pprof: "yes": want true or false`},
		"no value":              {"edge:\n  listen:", `hawser.yml:2: edge.listen: no value: give one, write "" for none, or remove the key`},
		"no list":               {"nats:\n  routes:", "hawser.yml:2: nats.routes: want a list such as [a, b], found nothing"},
		"list of lists":         {"nats:\n  routes: [[a]]", "hawser.yml:2: nats.routes: want a list of texts, found a list in it"},
		"mapping for text":      {"edge:\n  listen: {host: a}", "hawser.yml:2: edge.listen: want one value, found a mapping"},
		"variable":              {"auth:\n  hmac_secret: ${SECRET}", "hawser.yml:2: auth.hmac_secret: ${SECRET} is not expanded in this file: set the environment variable HAWSER_AUTH_HMAC_SECRET instead"},
		"secret and its file":   {"auth:\n  hmac_secret: x\n  hmac_secret_file: " + secretFile, "hawser.yml:3: auth.hmac_secret and auth.hmac_secret_file are both set: keep one"},
		"secret file missing":   {"auth:\n  hmac_secret_file: /nowhere/secret", "hawser.yml:2: auth.hmac_secret_file: open /nowhere/secret: no such file"},
		"secret file empty":     {"auth:\n  hmac_secret_file: " + emptyFile, "is empty"},
		"poll engine with TLS":  {"edge:\n  engine: poll\n  tls_cert_file: c.pem\n  tls_key_file: k.pem", "hawser.yml:2: edge.engine poll: want auto or goroutine with edge.tls_cert_file"},
		"word with a slip":      {"node:\n  log_level: inof", `hawser.yml:2: node.log_level inof: want debug, info, warn or error (did you mean "info"?)`},
		"channels is nothing":   {"channels:", "hawser.yml:1: channels: want a list of rules, found nothing"},
		"rule is a text":        {"channels:\n  - news", "hawser.yml:1: channels: rule 1: want a mapping with pattern and subscribe, found single value"},
		"rule key":              {"channels:\n  - pattern: a\n    subscibe: allow", `hawser.yml:3: channels: rule 1: unknown key "subscibe" (did you mean "subscribe"?)`},
		"rule key twice":        {"channels:\n  - pattern: a\n    pattern: b", "hawser.yml:3: channels: rule 1: pattern is there twice"},
		"rule without value":    {"channels:\n  - pattern:\n", "hawser.yml:2: channels: rule 1: pattern: no value"},
		"rule word":             {"channels:\n  - pattern: a\n    subscribe: allow\n    publish: everyone", "hawser.yml:4: channels[0].publish everyone: want allow, token or refuse"},
		"rule without a word":   {"channels:\n  - pattern: a", `hawser.yml:2: channels[0].subscribe "": want allow, token or refuse`},
		"rule never reached":    {"channels:\n  - {pattern: '>', subscribe: allow}\n  - {pattern: news, subscribe: refuse}", "hawser.yml:3: channels[1].pattern news: want it before rule 1 (>), which matches the same channels first"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Load(Sources{Base: good(), File: writeFile(t, "hawser.yml", test.text)})
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got:  %v\nwant: …%s…", err, test.want)
			}
		})
	}
}

// TestCompressionSwitch: on and off are words, not the booleans that YAML 1.1
// made of them, and reach the edge.
func TestCompressionSwitch(t *testing.T) {
	for _, test := range []struct {
		text string
		want bool
	}{{"on", true}, {`"on"`, true}, {"off", false}} {
		file := writeFile(t, "hawser.yml", "edge: {compression: "+test.text+", compression_min_bytes: 1KiB}\nauth: {hmac_secret: "+goodSecret+"}\n")
		c, err := Load(Sources{Base: DefaultConfig(), File: file})
		if err != nil {
			t.Fatal(err)
		}
		if got := c.edge().Compression; got != test.want {
			t.Errorf("compression: %s: got %v, want %v", test.text, got, test.want)
		}
		if got := c.encoder().CompressMinBytes; got != 1024 {
			t.Errorf("compression_min_bytes: 1KiB: got %d", got)
		}
	}
}

// TestRefusedOutsideFiles is the same for environment and flags.
func TestRefusedOutsideFiles(t *testing.T) {
	for name, test := range map[string]struct {
		sources Sources
		want    string
	}{
		"unknown variable": {Sources{Environ: []string{"HAWSER_EGDE_LISTEN=x"}}, `HAWSER_EGDE_LISTEN: unknown environment variable (did you mean "HAWSER_EDGE_LISTEN"?)`},
		"bad variable":     {Sources{Environ: []string{"HAWSER_EDGE_SHARDS=x"}}, `HAWSER_EDGE_SHARDS: edge.shards: "x": want a whole number`},
		"out of range":     {Sources{Environ: []string{"HAWSER_EDGE_SHARDS=-1"}}, "HAWSER_EDGE_SHARDS: edge.shards -1: want 0 to 1024"},
		"unknown flag":     {Sources{Flags: map[string]string{"edge.liste": "x"}}, `--edge.liste: unknown flag (did you mean "edge.listen"?)`},
		"bad flag":         {Sources{Flags: map[string]string{"edge.close_timeout": "x"}}, `--edge.close_timeout: "x": want a duration`},
		"rules":            {Sources{Environ: []string{"HAWSER_CHANNELS=chat"}}, "HAWSER_CHANNELS: channels: want a list of rules"},
		"no rules":         {Sources{Environ: []string{"HAWSER_CHANNELS={"}}, `want a list such as [{pattern: "news.>", subscribe: allow}]`},
		"rule by line":     {Sources{Flags: map[string]string{"channels": `[{pattern: "a b", subscribe: allow}]`}}, "--channels[0].pattern a b: want tokens"},
		"missing file":     {Sources{File: "/nowhere/hawser.yml"}, "configuration file: open /nowhere/hawser.yml"},
	} {
		t.Run(name, func(t *testing.T) {
			test.sources.Base = good()
			_, err := Load(test.sources)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got:  %v\nwant: …%s…", err, test.want)
			}
		})
	}
}

// TestAllProblemsAtOnce: an operator repairs a file in one go.
func TestAllProblemsAtOnce(t *testing.T) {
	file := writeFile(t, "hawser.yml", "edge:\n  listn: a\n  shards: b\nnatz: {}\n")
	_, err := Load(Sources{Base: good(), File: file})
	if got := strings.Count(fmt.Sprint(err), "hawser.yml:"); got != 3 {
		t.Errorf("got %d problems, want 3:\n%v", got, err)
	}
}

// TestKubernetesServiceLinks: a Service named hawser puts its address into
// every container, ours included.
func TestKubernetesServiceLinks(t *testing.T) {
	links := []string{
		"HAWSER_SERVICE_HOST=10.0.0.1", "HAWSER_SERVICE_PORT=80", "HAWSER_SERVICE_PORT_HTTP=80",
		"HAWSER_PORT=tcp://10.0.0.1:80", "HAWSER_PORT_80_TCP=tcp://10.0.0.1:80", "HAWSER_PORT_80_TCP_ADDR=10.0.0.1",
		"HAWSER_ADMIN_SERVICE_HOST=10.0.0.2", "HAWSER_ADMIN_PORT_8090_TCP_PROTO=tcp",
	}
	if _, err := Load(Sources{Base: good(), Environ: links}); err != nil {
		t.Error(err)
	}
}

func TestEmptyFilesAndSections(t *testing.T) {
	for _, text := range []string{"", "# nothing\n", "edge:\n  # listen: :80\nauth:\n", "---\n"} {
		c, err := Load(Sources{Base: good(), File: writeFile(t, "hawser.yml", text)})
		if err != nil || !reflect.DeepEqual(c, good()) {
			t.Errorf("%q: got %v, %+v", text, err, c)
		}
	}
}

// TestEveryRange breaks each key that has a range or words, on both sides.
func TestEveryRange(t *testing.T) {
	tagged := 0
	for _, k := range Keys(DefaultConfig()) {
		if k.Accepts == "" || k.Type == typeRules {
			continue
		}
		tagged++
		field := reflect.TypeFor[Config]().FieldByIndex(k.index)
		low, high, isRange := strings.Cut(field.Tag.Get("range"), "..")
		if !isRange {
			wantBad(t, k, func(v reflect.Value) { v.SetString("nonsense") })
			continue
		}
		wantBad(t, k, func(v reflect.Value) { v.SetInt(limit(low, v.Type()) - 1) })
		wantBad(t, k, func(v reflect.Value) { v.SetInt(limit(high, v.Type()) + 1) })
	}
	if tagged < 25 {
		t.Errorf("only %d keys have a range or words", tagged)
	}
}

// wantBad breaks one key and expects its own complaint, which must name key,
// value and range.
func wantBad(t *testing.T, k Key, breakIt func(reflect.Value)) {
	t.Helper()
	c := good()
	v := reflect.ValueOf(&c).Elem().FieldByIndex(k.index)
	breakIt(v)
	want := fmt.Sprintf("%s %s: want %s", k.Path, format(v), k.Accepts)
	if err := c.Validate(); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("%s = %s: got %v, want %s", k.Path, format(v), err, want)
	}
}

// TestCheck breaks each rule that no tag expresses.
func TestCheck(t *testing.T) {
	rule := func(r ChannelRule) func(*Config) {
		return func(c *Config) { c.Channels = []ChannelRule{r} }
	}
	for want, breakIt := range map[string]func(*Config){
		"node.id web 1: want at most 64 letters":                               func(c *Config) { c.Node.ID = "web 1" },
		"node.id " + strings.Repeat("x", 65):                                   func(c *Config) { c.Node.ID = strings.Repeat("x", 65) },
		`node.data_dir "": want a directory`:                                   func(c *Config) { c.Node.DataDir = "" },
		"edge.origins example.org: want scheme":                                func(c *Config) { c.Edge.Origins = []string{"example.org"} },
		"edge.origins https://a/: want":                                        func(c *Config) { c.Edge.Origins = []string{"https://a/"} },
		"edge.origins https://a.*: want":                                       func(c *Config) { c.Edge.Origins = []string{"https://a.*"} },
		"edge.pong_timeout 25s: want below edge.ping_interval 25s":             func(c *Config) { c.Edge.PongTimeout = c.Edge.PingInterval },
		"edge.balancer_timeout 30s: want above edge.ping_interval 25s":         func(c *Config) { c.Edge.BalancerTimeout = 30 * time.Second },
		"nats.rpc_timeout 1m: want below":                                      func(c *Config) { c.NATS.RPCTimeout = time.Minute },
		"edge.proxy_protocol_from 10.0.0.1: want a network":                    func(c *Config) { c.Edge.ProxyProtocolFrom = []string{"10.0.0.1"} },
		"edge.max_frame_bytes 65KiB: want at most edge.max_message_bytes":      func(c *Config) { c.Edge.MaxFrameBytes = 65 * KiB },
		"edge.outbox_bytes 32KiB: want at least edge.max_message_bytes 64KiB":  func(c *Config) { c.Edge.OutboxBytes = 32 * KiB },
		"edge.outbox_total_bytes 128KiB: want at least edge.outbox_bytes":      func(c *Config) { c.Edge.OutboxTotalBytes = 128 * KiB },
		`edge.tls_key_file "": want a value, as edge.tls_cert_file has one`:    func(c *Config) { c.Edge.TLSCertFile = "a" },
		`edge.tls_cert_file "": want a value, as edge.tls_key_file has one`:    func(c *Config) { c.Edge.TLSKeyFile = "a" },
		"edge.listen 8080: want host:port":                                     func(c *Config) { c.Edge.Listen = "8080" },
		"edge.listen :http: want host:port":                                    func(c *Config) { c.Edge.Listen = ":http" },
		"edge.listen :70000: want host:port":                                   func(c *Config) { c.Edge.Listen = ":70000" },
		`admin.listen "": want host:port`:                                      func(c *Config) { c.Admin.Listen = "" },
		"admin.listen 127.0.0.1:8080: want an address of its own: edge.listen": func(c *Config) { c.Admin.Listen = c.Edge.Listen },
		"auth.hmac_secret [hidden]: want at least 32 bytes, it has 5":          func(c *Config) { c.Auth.HMACSecret = "short" },
		"auth.hmac_previous [hidden]: want at least 32":                        func(c *Config) { c.Auth.HMACPrevious = "short" },
		"auth.resume_secret [hidden]: want at least 32":                        func(c *Config) { c.Auth.ResumeSecret = "short" },
		"auth.hmac_previous [hidden]: want auth.hmac_secret beside":            func(c *Config) { c.Auth.HMACPrevious, c.Auth.HMACSecret = goodSecret, "" },
		"auth.jwks_url http://id.example/keys: want an https:// URL":           func(c *Config) { c.Auth.JWKSURL = "http://id.example/keys" },
		"auth.jwks_url nonsense: want an https:// URL":                         func(c *Config) { c.Auth.JWKSURL = "nonsense" },
		"auth.public_keys k.pem,":                                              func(c *Config) { c.Auth.PublicKeys = strings.Split(strings.Repeat("k.pem,", 17), ",") },
		"channels[0].pattern a b: want tokens":                                 rule(ChannelRule{Pattern: "a b", Subscribe: Allow}),
		"channels[0].slow wait: want disconnect, drop_oldest or conflate":      rule(ChannelRule{Pattern: "a", Subscribe: Allow, Slow: "wait"}),
		"channels[0].publish_to nobody: want app or channel":                   rule(ChannelRule{Pattern: "a", Subscribe: Allow, Publish: Allow, PublishTo: "nobody"}),
		"nats.prefix a.b: want 1 to 32":                                        func(c *Config) { c.NATS.Prefix = "a.b" },
		`nats.prefix "": want 1 to 32`:                                         func(c *Config) { c.NATS.Prefix = "" },
		"nats.url http://a: want nats://":                                      func(c *Config) { c.NATS.URL = "nats://a:1,http://a" },
		"nats.password [hidden]: want nats.user beside":                        func(c *Config) { c.NATS.Password = "x" },
		`nats.password "": want a value, as nats.user has one`:                 func(c *Config) { c.NATS.User = "x" },
		`nats.tls_key_file "": want a value`:                                   func(c *Config) { c.NATS.URL, c.NATS.TLSCertFile = "nats://a", "x" },
		"want nothing beside nats.credentials_file: one way to log in":         func(c *Config) { c.NATS.URL, c.NATS.CredentialsFile, c.NATS.Token = "nats://a", "x", "y" },
		"nats.credentials_file x: want nats.url beside":                        func(c *Config) { c.NATS.CredentialsFile = "x" },
		"nats.tls_ca_file x: want nats.url beside":                             func(c *Config) { c.NATS.TLSCAFile = "x" },
		"nats.listen :4222: want a loopback address, or nats.user":             func(c *Config) { c.NATS.Listen = ":4222" },
		"nats.cluster_name c: want nothing: it is for the embedded server":     func(c *Config) { c.NATS.URL, c.NATS.ClusterName = "nats://a", "c" },
		`nats.cluster_listen "": want a value, as nats.cluster_name has one`:   func(c *Config) { c.NATS.ClusterName = "c" },
		"nats.routes nats://a:1: want nats.cluster_listen beside":              func(c *Config) { c.NATS.Routes = []string{"nats://a:1"} },
		"nats.routes nats://a: want nats://host:port": func(c *Config) {
			c.NATS.ClusterName, c.NATS.ClusterListen, c.NATS.Routes = "c", "127.0.0.1:0", []string{"nats://a"}
		},
		`nats.routes "": want the cluster_listen of at least one other node`: func(c *Config) {
			c.NATS.ClusterName, c.NATS.ClusterListen = "c", "127.0.0.1:0"
		},
	} {
		c := good()
		breakIt(&c)
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got:  %v\nwant: …%s…", err, want)
		}
	}
}

func TestCheckAccepts(t *testing.T) {
	for name, change := range map[string]func(*Config){
		"origins": func(c *Config) {
			c.Edge.Origins = []string{"*", "https://*.example.org", "http://localhost:3000", "null://x"}
		},
		"port 0 everywhere": func(c *Config) { c.Edge.Listen, c.Admin.Listen, c.NATS.Listen = "[::1]:0", "[::1]:0", "[::1]:0" },
		"open NATS, token":  func(c *Config) { c.NATS.Listen, c.NATS.Token = ":4222", "x" },
		"local JWKS":        func(c *Config) { c.Auth.JWKSURL = "http://localhost:1/keys" },
		"NATS elsewhere":    func(c *Config) { c.NATS.URL, c.NATS.Listen = "nats://a:1, tls://b", "" },
		"anonymous only":    func(c *Config) { c.Auth = AuthConfig{AllowAnonymous: true, JWKSRefresh: time.Minute} },
		"publish left out":  func(c *Config) { c.Channels = []ChannelRule{{Pattern: "a", Subscribe: Allow}} },
	} {
		c := good()
		change(&c)
		if err := c.Validate(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestCheckDev(t *testing.T) {
	for key, open := range map[string]func(*Config){
		"edge.listen":  func(c *Config) { c.Edge.Listen = ":8080" },
		"admin.listen": func(c *Config) { c.Admin.Listen = "0.0.0.0:8090" },
		"nats.listen":  func(c *Config) { c.NATS.Listen = "192.0.2.1:4222" },
	} {
		c := DevConfig()
		open(&c)
		if err := CheckDev(c); err == nil || !strings.HasPrefix(err.Error(), key+" ") || !strings.Contains(err.Error(), "hawser serve") {
			t.Errorf("%s: got %v", key, err)
		}
	}
}

func TestWarnings(t *testing.T) {
	c := good()
	c.Channels = nil
	c.Auth.AllowAnonymous, c.Edge.Listen = true, ":8080"
	c.Admin.Listen, c.Admin.Pprof = ":8090", true
	if got := c.Warnings(); len(got) != 4 {
		t.Errorf("got %d warnings, want 4: %q", len(got), got)
	}
}

var defaultWord = regexp.MustCompile(` Default (\S+?)[.;,](\s|$)`)

// TestEveryKeyIsDocumented also keeps the "Default …" of comments honest.
func TestEveryKeyIsDocumented(t *testing.T) {
	for _, k := range Keys(DefaultConfig()) {
		if len(k.Doc) < 20 {
			t.Errorf("%s: comment %q is missing or too short", k.Path, k.Doc)
		}
		said := ""
		if m := defaultWord.FindStringSubmatch(k.Doc); m != nil {
			said = m[1]
		}
		empty := k.Default == "" || k.Default == "0" || k.Default == "0B"
		if k.Type != typeRules && said != k.Default && !(said == "" && empty) {
			t.Errorf("%s: the comment says Default %q, it is %q", k.Path, said, k.Default)
		}
	}
	for field, doc := range fieldDocs()["ChannelRule"] {
		if len(doc) < 20 {
			t.Errorf("ChannelRule.%s: comment %q", field, doc)
		}
	}
}

func TestMarkdownGolden(t *testing.T) {
	var got bytes.Buffer
	if err := WriteMarkdown(&got); err != nil {
		t.Fatal(err)
	}
	golden := filepath.Join("testdata", "config.md")
	if *update {
		if err := os.WriteFile(golden, got.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got.Bytes(), want) {
		t.Errorf("%s is stale: run go test ./edge/node -run Golden -update and read the diff", golden)
	}
}

func TestReload(t *testing.T) {
	from, to := good(), good()
	to.Node.LogLevel, to.Auth.HMACSecret, to.Channels = "debug", otherSecret, nil
	to.Edge.Listen, to.NATS.Token = ":1", "x"
	live, restart := from.Changed(to)
	if want := []string{"node.log_level", "auth.hmac_secret", "channels"}; !reflect.DeepEqual(live, want) {
		t.Errorf("live: got %q, want %q", live, want)
	}
	if want := []string{"edge.listen", "nats.token"}; !reflect.DeepEqual(restart, want) {
		t.Errorf("restart: got %q, want %q", restart, want)
	}
	next := from.WithLive(to)
	if live, restart := next.Changed(to); live != nil || len(restart) != 2 {
		t.Errorf("after WithLive: still %q and %q", live, restart)
	}
}

func TestResolve(t *testing.T) {
	c := DefaultConfig().Resolve()
	if c.Node.ID == "" || c.Edge.Shards < 1 || c.Edge.MaxFrameBytes != c.Edge.MaxMessageBytes || c.Edge.Engine != "auto" {
		t.Errorf("got %+v %+v", c.Node, c.Edge)
	}
	if again := c.Resolve(); !reflect.DeepEqual(again, c) {
		t.Errorf("a second Resolve changed %+v to %+v", c, again)
	}
	for host, want := range map[string]string{
		"web-1.example.org":      "web-1-example-org",
		"":                       "node",
		"...":                    "node",
		strings.Repeat("ü", 100): "node",
		strings.Repeat("x", 100): strings.Repeat("x", 64),
	} {
		if got := nodeID(host); got != want {
			t.Errorf("nodeID(%q) = %q, want %q", host, got, want)
		}
	}
}
