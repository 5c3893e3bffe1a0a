package elasticsearchio

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"regexp"

	"github.com/elastic/go-elasticsearch/v8/esapi"
	"github.com/go-faster/jx"
)

// templateName takes what stands in a URL as it is. Elasticsearch's own rules
// are for it to enforce.
var templateName = regexp.MustCompile(`^[A-Za-z0-9@.+~][A-Za-z0-9@._+~-]*$`)

// template is one thing that a template file puts.
type template struct {
	name string
	body []byte
}

// templates is a template file, in the order in which it is put.
type templates struct {
	components, indices []template
	streams             []string
}

// PutTemplate puts what a template file holds: a JSON object with any of
//
//	{
//	  "component_templates": {"trip-fields": {"template": {"mappings": {…}}}},
//	  "index_templates": {"trips": {"index_patterns": ["trips-*"], "composed_of": ["trip-fields"], "data_stream": {}}},
//	  "data_streams": ["trips-green"]
//	}
//
// in this order; the bodies are those of Elasticsearch's API. It may be called
// as often as wanted: templates are put in the place of what has their name,
// and act on indices that are made later; a data stream that is there stays.
// Faults that pass are waited out for Options.RetryDeadline.
func (c *Client) PutTemplate(ctx context.Context, file []byte) error {
	t, err := parseTemplates(file)
	if err != nil {
		return fmt.Errorf("template file: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, c.opts.RetryDeadline)
	defer cancel()
	put := func(op string, request esapi.Request) error {
		return c.link.retry(ctx, op, 0, c.opts.RetryBackoff, func(ctx context.Context) (*esapi.Response, error) {
			return request.Do(ctx, c.link)
		})
	}
	for _, t := range t.components {
		err := put("put component template "+t.name, bodied{func() esapi.Request {
			return esapi.ClusterPutComponentTemplateRequest{Name: t.name, Body: bytes.NewReader(t.body)}
		}})
		if err != nil {
			return err
		}
	}
	for _, t := range t.indices {
		err := put("put index template "+t.name, bodied{func() esapi.Request {
			return esapi.IndicesPutIndexTemplateRequest{Name: t.name, Body: bytes.NewReader(t.body)}
		}})
		if err != nil {
			return err
		}
	}
	for _, name := range t.streams {
		err := put("create data stream "+name, esapi.IndicesCreateDataStreamRequest{Name: name})
		var fault *Error
		if errors.As(err, &fault) && fault.Kind == "resource_already_exists_exception" {
			err = nil
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// CheckTemplate says what keeps PutTemplate from reading a file, without asking
// the cluster, which has rules of its own.
func CheckTemplate(file []byte) error {
	_, err := parseTemplates(file)
	return err
}

// bodied is a request whose body is read anew each time.
type bodied struct{ make func() esapi.Request }

func (b bodied) Do(ctx context.Context, t esapi.Transport) (*esapi.Response, error) {
	return b.make().Do(ctx, t)
}

func parseTemplates(file []byte) (t templates, err error) {
	d := jx.DecodeBytes(file)
	if d.Next() != jx.Object {
		return t, errors.New("it is not a JSON object")
	}
	seen := map[string]bool{}
	err = d.ObjBytes(func(d *jx.Decoder, key []byte) (err error) {
		part := string(key)
		if seen[part] {
			return fmt.Errorf("%s stands twice", part)
		}
		seen[part] = true
		switch part {
		case "component_templates":
			t.components, err = parseNamed(d)
		case "index_templates":
			t.indices, err = parseNamed(d)
		case "data_streams":
			err = d.Arr(func(d *jx.Decoder) error {
				name, err := d.Str()
				if err == nil {
					t.streams = append(t.streams, name)
					err = checkTemplateName(name)
				}
				return err
			})
		default:
			return fmt.Errorf("%q is none of component_templates, index_templates, data_streams", part)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", part, err)
		}
		return nil
	})
	switch {
	case err != nil:
		return templates{}, err
	case !atEnd(d):
		return templates{}, errors.New("something follows the JSON object")
	case len(t.components)+len(t.indices)+len(t.streams) == 0:
		return templates{}, errors.New("it holds nothing to put")
	}
	return t, nil
}

// parseNamed reads an object of objects, each under its name.
func parseNamed(d *jx.Decoder) (out []template, err error) {
	err = d.ObjBytes(func(d *jx.Decoder, key []byte) error {
		name := string(key)
		if err := checkTemplateName(name); err != nil {
			return err
		}
		if d.Next() != jx.Object {
			return fmt.Errorf("%s is not an object", name)
		}
		body, err := d.RawAppend(nil)
		out = append(out, template{name: name, body: body})
		return err
	})
	return out, err
}

func checkTemplateName(name string) error {
	if !templateName.MatchString(name) {
		return fmt.Errorf("%q is not a name of letters, digits, '-', '_', '.', '@', '+', '~'", name)
	}
	return nil
}
