package main

import (
	"context"
	"errors"
	"fmt"
	"syscall"
)

// component is one program of a bed: how it is started, how it is known to be ready, and its process while there is one.
type component struct {
	name string
	// program is the file to run; empty for a part of this binary.
	program string
	flags   []string
	// ready succeeds once the component does its work; nil when nothing waits for it.
	ready func(ctx context.Context) error
	*child
}

// launch starts the process of a component. It must be called on the thread that the bed's processes are bound to (see bound).
func (b *bed) launch(one *component) error {
	started, err := startChild(one, b)
	if err == nil {
		one.child = started
	}
	return err
}

// run starts a component for the first time.
func (b *bed) run(one component) error {
	one.flags = append(one.flags, b.extraFlags[one.name]...)
	if err := b.launch(&one); err != nil {
		return err
	}
	b.components = append(b.components, &one)
	return nil
}

var errNoComponent = errors.New("no such component")

func (b *bed) component(name string) (*component, error) {
	for _, one := range b.components {
		if one.name == name {
			return one, nil
		}
	}
	return nil, fmt.Errorf("%w: %q", errNoComponent, name)
}

// signal sends a component's process a signal. What it started is left alone.
func (c *child) signal(number syscall.Signal) error {
	select {
	case <-c.ended:
		return fmt.Errorf("%s does not run", c.name)
	default:
		return c.command.Process.Signal(number)
	}
}

// again starts a component that was killed and returns when it is ready.
func (b *bed) again(ctx context.Context, one *component) error {
	select {
	case <-one.ended:
	default:
		return fmt.Errorf("%s runs already", one.name)
	}
	if err := b.launch(one); err != nil {
		return err
	}
	if one.ready == nil {
		return nil
	}
	return poll(ctx, one.name+" to be ready", func() error {
		// It may not bear that another one is away.
		return errors.Join(b.revive(one), one.ready(ctx))
	})
}
