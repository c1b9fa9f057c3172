package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"
)

// probe asks the API server simple questions.
type probe struct {
	server string
	token  string
	client http.Client
}

func newProbe(server, caFile, token string) (*probe, error) {
	ca, err := os.ReadFile(caFile)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(ca) {
		return nil, errors.New("no certificate in " + caFile)
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}
	return &probe{server: server, token: token, client: http.Client{Transport: transport, Timeout: 5 * time.Second}}, nil
}

// found makes the question whether the server answers a path with 200.
func (p *probe) found(ctx context.Context, path string) func() error {
	return func() error {
		_, err := p.fetch(ctx, path)
		return err
	}
}

// get reads an object.
func (p *probe) get(ctx context.Context, path string, into any) error {
	body, err := p.fetch(ctx, path)
	if err != nil {
		return err
	}
	return json.Unmarshal(body, into)
}

// answerLimit is far above the size of any object of Kubernetes.
const answerLimit = 8 << 20

func (p *probe) fetch(ctx context.Context, path string) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, p.server+path, nil)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Authorization", "Bearer "+p.token)
	answer, err := p.client.Do(request)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(io.LimitReader(answer.Body, answerLimit))
	if err != nil {
		return nil, err
	}
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: %s: %s", path, answer.Status, body)
	}
	return body, nil
}

// complete tells whether a certificate file was written to its end: the server's own certificate and its authority's.
func complete(certificates []byte) error {
	count := 0
	for block, rest := pem.Decode(certificates); block != nil; block, rest = pem.Decode(rest) {
		count++
	}
	if count < 2 {
		return fmt.Errorf("%d of 2 certificates written", count)
	}
	return nil
}
