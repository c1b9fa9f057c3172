// Command opa answers Envoy's external authorization by OPA: the request's body is `input.parsed_body`, as in
// opa-envoy-plugin, and a request goes when `data.bench.allow` is true. It logs no decisions and offers no API.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"log"
	"net"
	"os"

	auth "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"github.com/open-policy-agent/opa/v1/rego"
	"github.com/open-policy-agent/opa/v1/storage/inmem"
	"google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
)

// judge holds the policy, compiled once; a prepared query may be evaluated by many at once.
type judge struct {
	auth.UnimplementedAuthorizationServer
	query rego.PreparedEvalQuery
}

// Check denies what is no single JSON document, what the policy does not allow, and what it cannot judge.
func (j *judge) Check(ctx context.Context, request *auth.CheckRequest) (*auth.CheckResponse, error) {
	call := request.GetAttributes().GetRequest().GetHttp()
	body, err := parse(call.GetBody())
	if err != nil {
		return answer(codes.PermissionDenied), nil
	}
	input := map[string]any{"method": call.GetMethod(), "path": call.GetPath(), "parsed_body": body}
	results, err := j.query.Eval(ctx, rego.EvalInput(input))
	if err != nil || !results.Allowed() {
		return answer(codes.PermissionDenied), nil
	}
	return answer(codes.OK), nil
}

func answer(code codes.Code) *auth.CheckResponse {
	return &auth.CheckResponse{Status: &status.Status{Code: int32(code)}}
}

// parse reads one document; numbers keep their digits.
func parse(text string) (any, error) {
	decoder := json.NewDecoder(bytes.NewReader([]byte(text)))
	decoder.UseNumber()
	var document any
	if err := decoder.Decode(&document); err != nil {
		return nil, err
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("more than one document")
	}
	return document, nil
}

// prepare compiles the policy over the data. The store keeps the data as OPA's own values, which it reads fastest.
func prepare(ctx context.Context, policy, data string) (rego.PreparedEvalQuery, error) {
	module, err := os.ReadFile(policy)
	if err != nil {
		return rego.PreparedEvalQuery{}, err
	}
	text, err := os.ReadFile(data)
	if err != nil {
		return rego.PreparedEvalQuery{}, err
	}
	var values map[string]any
	if err := json.Unmarshal(text, &values); err != nil {
		return rego.PreparedEvalQuery{}, err
	}
	store := inmem.NewFromObjectWithOpts(values, inmem.OptReturnASTValuesOnRead(true))
	return rego.New(rego.Query("data.bench.allow"), rego.Module(policy, string(module)), rego.Store(store)).PrepareForEval(ctx)
}

func main() {
	listen := flag.String("listen", "127.0.0.1:9191", "address for Envoy")
	policy := flag.String("policy", "", "file with the module of package bench")
	data := flag.String("data", "", "file with the data, a JSON object")
	flag.Parse()
	query, err := prepare(context.Background(), *policy, *data)
	if err != nil {
		log.Fatal(err)
	}
	listener, err := net.Listen("tcp", *listen)
	if err != nil {
		log.Fatal(err)
	}
	server := grpc.NewServer()
	auth.RegisterAuthorizationServer(server, &judge{query: query})
	log.Fatal(server.Serve(listener))
}
