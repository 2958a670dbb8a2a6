package node

import "reflect"

// WithLive is c with the live keys of next: what SIGHUP may change at once.
func (c Config) WithLive(next Config) Config {
	to, from := reflect.ValueOf(&c).Elem(), reflect.ValueOf(next)
	for _, k := range Keys(c) {
		if k.Live {
			to.FieldByIndex(k.index).Set(from.FieldByIndex(k.index))
		}
	}
	return c
}

// Changed lists the keys in which c and next differ: the live ones, and those
// that need a restart. A secret is listed by its own name, never its _file.
func (c Config) Changed(next Config) (live, restart []string) {
	from, to := reflect.ValueOf(c), reflect.ValueOf(next)
	for _, k := range Keys(c) {
		if k.file || reflect.DeepEqual(from.FieldByIndex(k.index).Interface(), to.FieldByIndex(k.index).Interface()) {
			continue
		}
		if k.Live {
			live = append(live, k.Path)
		} else {
			restart = append(restart, k.Path)
		}
	}
	return live, restart
}
