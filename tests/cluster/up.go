package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"syscall"
	"time"
)

const upUsage = `usage: aegis-testbed up [flags]

Starts a Kubernetes API server with its etcd and its controllers on free ports of 127.0.0.1, prints one line of JSON that says where everything is as soon as
it can be used, and keeps it running until standard input ends or SIGINT, SIGTERM or SIGHUP comes. Ends with status 1 when a component ends by itself. Nothing
stays behind, not even when this process is killed with SIGKILL, but then for the files.

With --node (Linux, root) a whole node that runs Pods is started in namespaces of its own, beside a network that plays the outside world; nothing can leave the
machine. Nothing at all stays behind then, also after SIGKILL.

Each line on standard input is a command that is answered by one line of JSON; see README.md.
`

var (
	errStopped = errors.New("stopped")
	errSlow    = errors.New("not ready in time")
)

type upOptions struct {
	dir   string
	users userFlag
	extra extraFlag
	limit time.Duration
	node  bool
	ext   addressFlag
}

// addressFlag reads --ext-address ADDRESS, which may be repeated.
type addressFlag []net.IP

func (f *addressFlag) String() string { return "" }

func (f *addressFlag) Set(value string) error {
	address := net.ParseIP(value)
	if address == nil {
		return fmt.Errorf("%q is no address", value)
	}
	*f = append(*f, address)
	return nil
}

// extraFlag reads --flag COMPONENT=FLAG, which may be repeated.
type extraFlag map[string][]string

func (f extraFlag) String() string { return "" }

func (f extraFlag) Set(value string) error {
	component, flag, _ := strings.Cut(value, "=")
	if _, known := components[component]; !known && component != "containerd" || flag == "" {
		return fmt.Errorf("%q is not of the form COMPONENT=--flag=value", value)
	}
	f[component] = append(f[component], flag)
	return nil
}

// up starts a bed, keeps it and answers the exit status.
func up(arguments []string) int {
	options := upOptions{extra: extraFlag{}}
	flags := flag.NewFlagSet("up", flag.ContinueOnError)
	flags.Usage = func() { fmt.Fprint(flags.Output(), upUsage); flags.PrintDefaults() }
	flags.StringVar(&options.dir, "dir", "", "keep all files in this empty `folder`; without it a temporary one is used and removed at the end")
	flags.Var(&options.users, "user", "`name[:group,group]` of someone who can log in, beside admin of system:masters; may be repeated")
	flags.Var(options.extra, "flag", "`component=flag` to start that component with one more flag; may be repeated")
	flags.DurationVar(&options.limit, "within", 2*time.Minute, "give up when the bed is not ready after this time")
	flags.BoolVar(&options.node, "node", false, "start a node that runs Pods, too")
	flags.Var(&options.ext, "ext-address", "one more `address` of the outside world; may be repeated")
	if err := flags.Parse(arguments); err != nil {
		return exitUsage
	}
	if flags.NArg() > 0 || (len(options.ext) > 0 && !options.node) {
		flags.Usage()
		return exitUsage
	}
	// See bound: the thread that starts the components must not end before they do.
	runtime.LockOSThread()
	ctx, end := context.WithCancelCause(context.Background())
	lines := make(chan string)
	go stopWhenAsked(end)
	go readLines(os.Stdin, lines, end)
	if err := serve(ctx, end, options, lines); !errors.Is(err, errStopped) {
		return complain(err)
	}
	return 0
}

// stopWhenAsked ends the bed when a signal comes.
func stopWhenAsked(end context.CancelCauseFunc) {
	received := make(chan os.Signal, 1)
	signal.Notify(received, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	<-received
	end(errStopped)
}

// serve starts the bed and keeps it until ctx ends; it answers why that was.
func serve(ctx context.Context, end context.CancelCauseFunc, options upOptions, lines <-chan string) (err error) {
	dir, plugins, folders := options.dir, "", []string(nil)
	if options.node {
		if dir == "" {
			dir = os.TempDir()
		}
		if plugins, err = nodeNeeds(dir); err != nil {
			return err
		}
		folders = nodeFolders
	}
	files, err := makeLayout(options.dir, folders...)
	if err != nil {
		return err
	}
	users := append([]user{newUser(adminName, "system:masters"), newUser(controllerManagerName)}, options.users...)
	running := &bed{files: files, users: users, extraFlags: options.extra, end: end, restarts: make(chan *component)}
	if options.node {
		running.users = append(running.users, newUser(schedulerName), newUser(proxyName), newUser(kubeletName, "system:nodes"))
		defer func() { err = endedNode(err, running.node.end()) }()
	} else if options.dir == "" {
		defer os.RemoveAll(files.dir)
	}
	defer running.kill()
	if options.node {
		if err := running.newNode(plugins, options.ext, options.dir == ""); err != nil {
			return err
		}
	}

	limited, cancel := context.WithTimeoutCause(ctx, options.limit, errSlow)
	defer cancel()
	if err := running.start(limited); err != nil {
		return withLogs(err, running)
	}
	line, err := running.report(limited)
	if err != nil {
		return err
	}
	printed := json.NewEncoder(os.Stdout)
	if err := printed.Encode(line); err != nil {
		return err
	}
	return running.obey(ctx, lines, printed)
}

// endedNode answers why a node ended: that something is left of it counts as a failure, also when it was asked to end.
func endedNode(why, left error) error {
	switch {
	case left == nil:
		return why
	case errors.Is(why, errStopped):
		return left
	default:
		return errors.Join(why, left)
	}
}

// withLogs adds the end of every log to an error that is only about time; others name their component themselves.
func withLogs(err error, running *bed) error {
	if !errors.Is(err, errSlow) {
		return err
	}
	for _, one := range running.components {
		err = fmt.Errorf("%w\nthe end of %s:\n%s", err, one.log, tail(one.log))
	}
	return err
}
