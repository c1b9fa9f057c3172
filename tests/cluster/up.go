package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
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
}

// extraFlag reads --flag COMPONENT=FLAG, which may be repeated.
type extraFlag map[string][]string

func (f extraFlag) String() string { return "" }

func (f extraFlag) Set(value string) error {
	component, flag, _ := strings.Cut(value, "=")
	if _, known := components[component]; !known || flag == "" {
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
	if err := flags.Parse(arguments); err != nil {
		return exitUsage
	}
	if flags.NArg() > 0 {
		flags.Usage()
		return exitUsage
	}
	// See bound: the thread that starts the components must not end before they do.
	runtime.LockOSThread()
	ctx, end := context.WithCancelCause(context.Background())
	go stopWhenAsked(end)
	if err := serve(ctx, end, options); !errors.Is(err, errStopped) {
		return complain(err)
	}
	return 0
}

// stopWhenAsked ends the bed when the parent closes standard input or a signal comes.
func stopWhenAsked(end context.CancelCauseFunc) {
	received := make(chan os.Signal, 1)
	signal.Notify(received, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		end(errStopped)
	}()
	<-received
	end(errStopped)
}

// serve starts the bed and keeps it until ctx ends; it answers why that was.
func serve(ctx context.Context, end context.CancelCauseFunc, options upOptions) error {
	files, err := makeLayout(options.dir)
	if err != nil {
		return err
	}
	if options.dir == "" {
		defer os.RemoveAll(files.dir)
	}
	users := append([]user{newUser(adminName, "system:masters"), newUser(controllerManagerName)}, options.users...)
	running := &bed{files: files, users: users, extraFlags: options.extra, end: end}
	defer running.kill()

	limited, cancel := context.WithTimeoutCause(ctx, options.limit, errSlow)
	defer cancel()
	if err := running.start(limited); err != nil {
		return withLogs(err, running)
	}
	if err := json.NewEncoder(os.Stdout).Encode(running.report()); err != nil {
		return err
	}
	<-ctx.Done()
	return context.Cause(ctx)
}

// withLogs adds the end of every log to an error that is only about time; others name their component themselves.
func withLogs(err error, running *bed) error {
	if !errors.Is(err, errSlow) {
		return err
	}
	for _, one := range running.children {
		err = fmt.Errorf("%w\nthe end of %s:\n%s", err, one.log, tail(one.log))
	}
	return err
}
