package browser

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
)

// openDemo opens the page and waits until it is in its room.
func openDemo(b *Browser, n *Node, name string) *Tab {
	b.t.Helper()
	tab := b.Open(name, n.Page())
	tab.Wait("#status-text", "Connected")
	tab.Wait(`#channels li[data-state="active"]`, "chat")
	return tab
}

// say writes a chat message.
func (tab *Tab) say(text string) {
	tab.browser.t.Helper()
	tab.Fill("#message", text)
	tab.Click("#chat-form button")
}

func TestPageConnects(t *testing.T) {
	b, n := newBrowser(t), startNode(t)
	tab := openDemo(b, n, "one")
	if !strings.HasPrefix(tab.policy, "default-src 'none'") {
		t.Errorf("got policy %q, want a strict one", tab.policy)
	}
	tab.Wait("#latency", " ms")
	for _, selector := range []string{"#node", "#session"} {
		if got := tab.Text(selector); got == "" || got == "–" {
			t.Errorf("%s: got %q, want a value", selector, got)
		}
	}
	tab.Click("#toggle")
	tab.Wait("#status-text", "Disconnected")
	tab.Click("#toggle")
	tab.Wait("#status-text", "Connected")
	tab.CheckProblems(nil)
}

func TestChatBetweenTabs(t *testing.T) {
	b, n := newBrowser(t), startNode(t)
	one, two := openDemo(b, n, "one"), openDemo(b, n, "two")
	one.say("hello <b>two</b>")
	two.Wait("#messages", "hello <b>two</b>") // as text: what a stranger writes is never HTML
	one.Wait("#messages li.mine", "hello")
	two.say("hello one")
	one.Wait("#messages", "hello one")
	two.Wait("#messages li.mine", "hello one") // its own message comes back through NATS too
	for _, tab := range []*Tab{one, two} {
		if got := tab.Count("#messages li"); got != 2 {
			t.Errorf("tab %s: got %d messages, want 2", tab.name, got)
		}
		tab.CheckProblems(nil)
	}
}

func TestRoomsAndChannels(t *testing.T) {
	b, n := newBrowser(t), startNode(t)
	tab := openDemo(b, n, "one")
	tab.Fill("#room", "no spaces")
	tab.Wait("#chat-note", "A room is")
	tab.Fill("#room", "side.room")
	tab.Wait(`#channels li[data-state="active"]`, "side.room")
	tab.say("over here")
	tab.Wait("#messages", "over here")
	tab.Fill("#channel", "news")
	tab.Click("#subscribe")
	tab.Wait(`#channels li[data-state="active"]`, "news")
	tab.Fill("#data", "{")
	tab.Click("#publish-form button.primary")
	tab.Wait("#publish-note", "Not JSON")
	tab.Fill("#data", `{"headline":"rain"}`)
	tab.Click("#publish-form button.primary")
	tab.Wait("#events", `{"headline":"rain"}`)
	tab.Click(`#channels button[aria-label="Unsubscribe from news"]`)
	tab.Wait("#channels", "side.room")
	if got := tab.Count("#channels li"); got != 1 {
		t.Errorf("got %d channels, want 1", got)
	}
	tab.CheckProblems(nil)
}

func TestPublishFromNATS(t *testing.T) {
	b, n := newBrowser(t), startNode(t)
	tab := openDemo(b, n, "one")
	app := n.NATS()
	for _, data := range []string{`{"from":"ops","text":"from NATS"}`, "plain text", "\xff\x00"} {
		if err := app.Publish("hw.fire.demo.chat", []byte(data)); err != nil {
			t.Fatal(err)
		}
	}
	tab.Wait("#messages", "from NATS")
	tab.Wait("#messages li.nats", "plain text")
	tab.Wait("#messages li.nats", "2 bytes")
	subject := "hw.session.demo." + tab.Text("#session")
	if _, err := app.Request(subject, []byte(`"only you"`), 10*time.Second); err != nil {
		t.Fatalf("%s: %v", subject, err)
	}
	tab.Wait("#events", "only you")
	tab.CheckProblems(nil)
}

// TestCommands runs what the page tells people to paste.
func TestCommands(t *testing.T) {
	b, n := newBrowser(t), startNode(t)
	tab := openDemo(b, n, "one")
	app := n.NATS()
	shell := regexp.MustCompile(`^nats (pub|request) (\S+) '(.*)'$`)
	for id, want := range map[string]string{"chat": `"text":"hello"`, "text": "plain text works too", "session": "only for this page"} {
		text := tab.Text("#command-" + id)
		m := shell.FindStringSubmatch(text)
		if m == nil {
			t.Errorf("command %q: not of the form nats pub|request subject 'data'", text)
			continue
		}
		msg := &nats.Msg{Subject: m[2], Data: []byte(m[3])}
		if m[1] == "pub" {
			if err := app.PublishMsg(msg); err != nil {
				t.Fatal(err)
			}
		} else if _, err := app.RequestMsg(msg, 10*time.Second); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		tab.Wait("#events", want)
	}
	tab.CheckProblems(nil)
}

// downtime is what Chromium itself logs about a server that is gone.
var downtime = regexp.MustCompile(`WebSocket connection to '[^']*' failed`)

func TestRestart(t *testing.T) {
	b, n := newBrowser(t), startNode(t)
	tab := openDemo(b, n, "one")
	n.stop()
	tab.Wait("#status-text", "Reconnecting")
	tab.Wait("#countdown", "in ")
	tab.Wait(`#channels li[data-state="pending"]`, "chat")
	tab.Wait("#events", "1012") // shutdown, from the close table
	tab.say("written while down")
	n.start()
	tab.Wait("#status-text", "Connected")
	tab.Wait(`#channels li[data-state="active"]`, "chat")
	tab.Wait("#reconnects", "1")
	tab.Wait("#messages", "written while down")
	tab.say("back again")
	tab.Wait("#messages", "back again")
	tab.CheckProblems(downtime)
}

func TestOtherTenant(t *testing.T) {
	b, n := newBrowser(t), startNode(t)
	tab := openDemo(b, n, "one")
	tab.Click("summary")
	tab.Fill("#tenant", "other")
	tab.Click("#settings-form button")
	tab.Wait("#status-text", "Connected")
	tab.Wait("#command-text", "hw.fire.other.chat")
	if err := n.NATS().Publish("hw.fire.other.chat", []byte("to the other tenant")); err != nil {
		t.Fatal(err)
	}
	tab.Wait("#messages", "to the other tenant")
	tab.CheckProblems(nil)
}

// TestAccessible checks what a screen reader needs and a test can see.
func TestAccessible(t *testing.T) {
	b, n := newBrowser(t), startNode(t)
	tab := openDemo(b, n, "one")
	const nameless = `[...document.querySelectorAll("input,textarea,button")]
		.filter(e => !(e.labels?.length || e.textContent.trim() || e.ariaLabel)).map(e => e.outerHTML)`
	var got []string
	tab.evaluate(nameless, &got)
	if len(got) > 0 {
		t.Errorf("controls without a name: %q", got)
	}
	var ids []string
	tab.evaluate(`[...document.querySelectorAll("[id]")].map(e => e.id).filter((id, i, all) => all.indexOf(id) !== i)`, &ids)
	if len(ids) > 0 {
		t.Errorf("ids twice: %q", ids)
	}
	for _, width := range []int{320, 390, 768, 1280} {
		var wide bool
		narrow := b.open(command{Do: "open", Tab: fmt.Sprint(width), URL: n.Page(), Width: width, Height: 800})
		narrow.Wait("#status-text", "Connected")
		narrow.evaluate(`document.documentElement.scrollWidth > innerWidth`, &wide)
		if wide {
			t.Errorf("at %d px the page scrolls sideways", width)
		}
	}
}

func (tab *Tab) evaluate(script string, value any) {
	tab.browser.t.Helper()
	tab.browser.do(command{Do: "evaluate", Tab: tab.name, Value: script}, value)
}

// TestLook writes screenshots for people into HAWSER_SCREENSHOTS.
func TestLook(t *testing.T) {
	dir := os.Getenv("HAWSER_SCREENSHOTS")
	if dir == "" {
		t.Skip("HAWSER_SCREENSHOTS names no directory: nobody wants to look")
	}
	b, n := newBrowser(t), startNode(t)
	app := n.NATS()
	for _, view := range []command{
		{Tab: "light", Scheme: "light", Width: 1280, Height: 900},
		{Tab: "dark", Scheme: "dark", Width: 1280, Height: 900},
		{Tab: "phone", Scheme: "light", Width: 390, Height: 844},
	} {
		view.Do, view.URL = "open", n.Page()
		tab := b.open(view)
		tab.Wait(`#channels li[data-state="active"]`, "chat")
		tab.say("Morning! Is the second node back?")
		tab.Wait("#messages", "Morning")
		answer, err := json.Marshal(map[string]string{"from": "ann", "text": "Back since nine. Nobody noticed."})
		if err != nil {
			t.Fatal(err)
		}
		for _, data := range [][]byte{answer, []byte("plain text works too")} {
			if err := app.Publish("hw.fire.demo.chat", data); err != nil {
				t.Fatal(err)
			}
		}
		tab.Wait("#messages", "plain text")
		b.do(command{Do: "shot", Tab: view.Tab, Value: filepath.Join(dir, view.Tab+".png")}, nil)
	}
}
