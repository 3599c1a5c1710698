// Svix's SDK for Go against a server: `judge URL KEY RECEIVER`. It prints each step that worked.
// After `sent` it reads what the receiver got, as one line of JSON, and verifies it.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"

	svix "github.com/svix/svix-webhooks/go"
	"github.com/svix/svix-webhooks/go/models"
	"github.com/svix/svix-webhooks/go/utils"
)

func must[T any](value T, err error) T {
	check(err)
	return value
}

func check(err error) {
	if err != nil {
		log.Panic(err)
	}
}

func is(ok bool, what any) {
	if !ok {
		log.Panicf("unexpected: %+v", what)
	}
}

func status(err error) int {
	var wrong *svix.Error
	is(errors.As(err, &wrong), err)
	return wrong.Status()
}

func main() {
	ctx := context.Background()
	base := must(url.Parse(os.Args[1]))
	client := must(svix.New(os.Args[2], &svix.SvixOptions{ServerUrl: base}))
	app := must(client.Application.Create(ctx, models.ApplicationIn{Name: "App"}, nil))
	is(must(client.Application.Get(ctx, app.Id)).Name == "App", app)
	fmt.Println("application")
	for _, name := range []string{"event.started", "event.ended"} {
		_, err := client.EventType.Create(ctx, models.EventTypeIn{Name: name, Description: "Something"}, nil)
		is(err == nil || status(err) == 409, err)
	}
	fmt.Println("event types")
	both := []string{"ch0", "ch1"}
	endpoint := must(client.Endpoint.Create(ctx, app.Id, models.EndpointIn{Url: os.Args[3], Channels: both}, nil))
	slices.Sort(endpoint.Channels)
	is(slices.Equal(endpoint.Channels, both) && len(endpoint.FilterTypes) == 0, endpoint)
	types := utils.NewNullable([]string{"event.started", "event.ended"})
	patched := must(client.Endpoint.Patch(ctx, app.Id, endpoint.Id, models.EndpointPatch{FilterTypes: types}))
	is(len(patched.FilterTypes) == 2 && len(patched.Channels) == 2, patched)
	fmt.Println("endpoint")
	message := must(client.Message.Create(ctx, app.Id, models.MessageIn{
		EventType: "event.started",
		Payload:   map[string]any{"amount": 12.5},
		Channels:  []string{"ch1"},
	}, nil))
	is(slices.Equal(message.Channels, []string{"ch1"}), message)
	fmt.Println("sent")
	var got struct {
		Body    string
		Headers map[string]string
	}
	check(json.Unmarshal([]byte(must(bufio.NewReader(os.Stdin).ReadString('\n'))), &got))
	headers := http.Header{}
	for name, value := range got.Headers {
		headers.Set(name, value)
	}
	secret := must(client.Endpoint.GetSecret(ctx, app.Id, endpoint.Id)).Key
	check(must(svix.NewWebhook(secret)).Verify([]byte(got.Body), headers))
	is(got.Body == `{"amount":12.5}`, got.Body)
	fmt.Println("verified")
	var attempts []models.MessageAttemptOut
	for len(attempts) == 0 {
		attempts = must(client.MessageAttempt.ListByMsg(ctx, app.Id, message.Id, nil)).Data
	}
	is(attempts[0].EndpointId == endpoint.Id && attempts[0].Status == 0, attempts)
	must(client.MessageAttempt.Resend(ctx, app.Id, message.Id, endpoint.Id, nil))
	fmt.Println("attempts")
	access := must(client.Authentication.AppPortalAccess(ctx, app.Id, models.AppPortalAccessIn{}, nil))
	is(strings.Contains(access.Url, "/portal/"), access)
	fmt.Println("portal")
	_, err := client.Endpoint.Create(ctx, app.Id, models.EndpointIn{Url: "nonsense"}, nil)
	is(status(err) == 422, err)
	check(client.Endpoint.Delete(ctx, app.Id, endpoint.Id))
	check(client.Application.Delete(ctx, app.Id))
	_, err = client.Application.Get(ctx, app.Id)
	is(status(err) == 404, err)
	fmt.Println("deleted")
}
