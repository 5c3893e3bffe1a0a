package stack

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/streaming-etl/streaming-etl/stack/process"
)

// askTimeout ends a question to a broker that does not answer.
const askTimeout = 5 * time.Second

// AwaitReady waits until all brokers that run, and are not paused, answer and know each other, and have in sync what
// they hold of partitions that all brokers know.
func (k *KafkaCluster) AwaitReady(ctx context.Context) error {
	return k.await(ctx, "Kafka", func(*kmsg.MetadataResponse) error { return nil })
}

// MakeTopic makes a topic, unless there is one of the name, with replicas as the cluster's default, and waits until all
// brokers know it. The settings, such as cleanup.policy, may be nil.
func (k *KafkaCluster) MakeTopic(ctx context.Context, name string, partitions int, settings map[string]string) error {
	client, err := kgo.NewClient(kgo.SeedBrokers(k.Bootstrap()...))
	if err != nil {
		return fmt.Errorf("make topic %s: %w", name, err)
	}
	defer client.Close()
	configs := make(map[string]*string)
	for key, value := range settings {
		configs[key] = &value
	}
	_, err = kadm.NewClient(client).CreateTopic(ctx, int32(partitions), -1, configs, name)
	if errors.Is(err, kerr.TopicAlreadyExists) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("make topic %s: %w", name, err)
	}
	return k.await(ctx, "topic "+name, func(m *kmsg.MetadataResponse) error {
		for _, t := range m.Topics {
			if *t.Topic == name && len(t.Partitions) == partitions {
				return nil
			}
		}
		return errors.New("a broker does not know it")
	})
}

// await waits until all running brokers are ready, and what each of them tells is as wanted.
func (k *KafkaCluster) await(ctx context.Context, what string, wanted func(*kmsg.MetadataResponse) error) error {
	ctx, cancel := context.WithTimeout(ctx, kafkaReadyTimeout)
	defer cancel()
	clients := make(map[int]*kgo.Client)
	defer func() {
		for _, c := range clients {
			c.Close()
		}
	}()
	running, processes := k.running()
	if len(running) == 0 {
		return fmt.Errorf("wait for %s: no broker runs", what)
	}
	return process.Await(ctx, what, func(ctx context.Context) error {
		for _, i := range running {
			if clients[i] == nil {
				c, err := kgo.NewClient(kgo.SeedBrokers(k.Bootstrap()[i]), kgo.RequestRetries(0), kgo.RetryTimeout(askTimeout))
				if err != nil {
					return err
				}
				clients[i] = c
			}
			if err := ask(ctx, clients[i], running, wanted); err != nil {
				return fmt.Errorf("broker %d: %w", i, err)
			}
		}
		return nil
	}, processes...)
}

// running returns the brokers that run.
func (k *KafkaCluster) running() (numbers []int, processes []*process.Process) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for i, b := range k.brokers {
		if b.process != nil && b.process.Ended() == nil && !b.paused {
			numbers, processes = append(numbers, i), append(processes, b.process)
		}
	}
	return numbers, processes
}

// ask asks a broker what it knows of the others.
func ask(ctx context.Context, broker *kgo.Client, running []int, wanted func(*kmsg.MetadataResponse) error) error {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	answer, err := broker.SeedBrokers()[0].Request(ctx, kmsg.NewPtrMetadataRequest()) // without topics: of all
	if err != nil {
		return err
	}
	m := answer.(*kmsg.MetadataResponse)
	for _, i := range running {
		if !slices.ContainsFunc(m.Brokers, func(b kmsg.MetadataResponseBroker) bool { return b.NodeID == int32(i) }) {
			return fmt.Errorf("it does not know broker %d", i)
		}
	}
	for _, t := range m.Topics {
		if err := kerr.ErrorForCode(t.ErrorCode); err != nil {
			return fmt.Errorf("topic %s: %w", *t.Topic, err)
		}
		for _, p := range t.Partitions {
			if !slices.ContainsFunc(running, func(i int) bool { return slices.Contains(p.Replicas, int32(i)) }) {
				continue // all of it is with brokers that do not run
			}
			if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
				return fmt.Errorf("topic %s, partition %d: %w", *t.Topic, p.Partition, err)
			}
			for _, i := range running {
				if slices.Contains(p.Replicas, int32(i)) && !slices.Contains(p.ISR, int32(i)) {
					return fmt.Errorf("topic %s, partition %d: broker %d is not in sync", *t.Topic, p.Partition, i)
				}
			}
		}
	}
	return wanted(m)
}
