package rest

import "context"

// An Overview tells what a cluster has.
type Overview struct {
	TaskManagers   int    `json:"taskmanagers"`
	SlotsTotal     int    `json:"slots-total"`
	SlotsAvailable int    `json:"slots-available"`
	FlinkVersion   string `json:"flink-version"`
}

// Overview returns the cluster's task managers, slots and version.
func (c *Client) Overview(ctx context.Context) (Overview, error) {
	var o Overview
	err := c.do(ctx, get("overview"), &o)
	return o, wrap(err, "ask for the cluster's overview")
}

// TaskManagers returns the resource ids of the TaskManagers that are registered.
func (c *Client) TaskManagers(ctx context.Context) ([]string, error) {
	var answer struct {
		TaskManagers []struct{ ID string } `json:"taskmanagers"`
	}
	if err := c.do(ctx, get("taskmanagers"), &answer); err != nil {
		return nil, wrap(err, "list TaskManagers")
	}
	ids := make([]string, len(answer.TaskManagers))
	for i, tm := range answer.TaskManagers {
		ids[i] = tm.ID
	}
	return ids, nil
}
