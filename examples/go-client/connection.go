package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
)

// A call that no server answered is made again, a mutation with the same request_id, so it is never done twice.
const serviceConfig = `{"methodConfig": [{
  "name": [{}],
  "retryPolicy": {
    "maxAttempts": 5, "initialBackoff": "0.1s", "maxBackoff": "1s", "backoffMultiplier": 2,
    "retryableStatusCodes": ["UNAVAILABLE"]
  }
}]}`

// security says how a connection is secured; the names are those of grpcurl's flags.
type security struct {
	cacert, cert, key, tokenFile, actor string
}

// dial opens a channel: plaintext on loopback unless a certificate is given, TLS everywhere else.
func dial(address string, how security) (*grpc.ClientConn, error) {
	plaintext := how.cacert == "" && how.cert == "" && onLoopback(address)
	transport := insecure.NewCredentials()
	if !plaintext {
		configuration, err := how.tls()
		if err != nil {
			return nil, err
		}
		transport = credentials.NewTLS(configuration)
	}
	return grpc.NewClient(address,
		grpc.WithTransportCredentials(transport),
		grpc.WithPerRPCCredentials(caller{how, plaintext}),
		grpc.WithDefaultServiceConfig(serviceConfig))
}

func (how security) tls() (*tls.Config, error) {
	configuration := &tls.Config{MinVersion: tls.VersionTLS12}
	if how.cacert != "" {
		authorities, err := os.ReadFile(how.cacert)
		if err != nil {
			return nil, err
		}
		configuration.RootCAs = x509.NewCertPool()
		if !configuration.RootCAs.AppendCertsFromPEM(authorities) {
			return nil, fmt.Errorf("%s: holds no certificate; expected a PEM file", how.cacert)
		}
	}
	if how.cert != "" {
		pair, err := tls.LoadX509KeyPair(how.cert, how.key)
		if err != nil {
			return nil, err
		}
		configuration.Certificates = []tls.Certificate{pair}
	}
	return configuration, nil
}

// caller says who calls: with a token, which is read for every call so that it can be changed, or by name, which only a
// server without tokens believes.
type caller struct {
	how       security
	plaintext bool
}

func (who caller) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	said := map[string]string{"covey-actor": who.how.actor}
	if who.how.tokenFile != "" {
		token, err := os.ReadFile(who.how.tokenFile)
		if err != nil {
			return nil, err
		}
		said["authorization"] = "Bearer " + strings.TrimSpace(string(token))
	}
	return said, nil
}

func (who caller) RequireTransportSecurity() bool { return !who.plaintext }

func onLoopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// explained is an error with what the server says to do about it.
func explained(err error) error {
	known, ok := status.FromError(err)
	if !ok {
		return err
	}
	lines := []string{fmt.Sprintf("%s: %s", known.Code(), known.Message())}
	for _, detail := range known.Details() {
		switch found := detail.(type) {
		case *errdetails.BadRequest:
			for _, violation := range found.FieldViolations {
				lines = append(lines, fmt.Sprintf("  %s: %s", violation.Field, violation.Description))
			}
		case *errdetails.ErrorInfo:
			if remedy := found.Metadata["remedy"]; remedy != "" {
				lines = append(lines, "what to do: "+remedy)
			}
		case *errdetails.RetryInfo:
			lines = append(lines, fmt.Sprintf("try again in %s", found.RetryDelay.AsDuration()))
		}
	}
	if silent := known.Code() == codes.Unavailable || known.Code() == codes.DeadlineExceeded; silent && len(known.Details()) == 0 {
		lines = append(lines, "what to do: start one with `covey serve`, name the right address with -data or -control, or allow more -timeout")
	}
	return errors.New(strings.Join(lines, "\n"))
}
