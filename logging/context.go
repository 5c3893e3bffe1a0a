package logging

import (
	"context"
	"log/slog"
	"slices"
)

type contextKey struct{}

// With returns a context whose records have these attributes too, as keys and
// values in turn; they come before a record's own.
func With(ctx context.Context, args ...any) context.Context {
	r := slog.Record{}
	r.Add(args...)
	all := slices.Clip(attributes(ctx))
	r.Attrs(func(a slog.Attr) bool { all = append(all, a); return true })
	return context.WithValue(ctx, contextKey{}, all)
}

// Copy returns to with the attributes that from has: for work that outlives the
// call that began it.
func Copy(to, from context.Context) context.Context {
	return context.WithValue(to, contextKey{}, attributes(from))
}

func attributes(ctx context.Context) []slog.Attr {
	all, _ := ctx.Value(contextKey{}).([]slog.Attr)
	return all
}
