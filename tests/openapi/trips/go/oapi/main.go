// A round trip with the client that oapi-codegen makes, with URL and key.
package main

import (
	"context"
	"fmt"
	"net/http"
	"os"

	made "trips/made_oapi"
)

func check(right bool, what any) {
	if !right {
		panic(fmt.Sprintf("%+v", what))
	}
}

func ref[T any](value T) *T { return &value }

func main() {
	ctx, key := context.Background(), os.Args[2]
	with := made.WithRequestEditorFn(func(_ context.Context, request *http.Request) error {
		request.Header.Set("Authorization", "Bearer "+key)
		return nil
	})
	client, err := made.NewClientWithResponses(os.Args[1], with)
	check(err == nil, err)

	event := made.NewEvent{Type: "cars.sold", Data: map[string]any{"id": "c5", "price": 1234567.89}}
	told, err := client.PublishEventWithResponse(ctx, &made.PublishEventParams{}, event)
	check(err == nil && told.JSON202 != nil, err)
	read, err := client.GetEventWithResponse(ctx, told.JSON202.Id, &made.GetEventParams{})
	check(err == nil && read.JSON200 != nil && (*read.JSON200.Data)["price"] == 1234567.89, err)
	fmt.Println("published")

	form := made.NewEndpoint{Url: "http://127.0.0.1:9/trip", Events: &[]string{"cars.*"}, Rate: ref(2.5)}
	endpoint, err := client.CreateEndpointWithResponse(ctx, &made.CreateEndpointParams{}, form)
	check(err == nil && endpoint.JSON201 != nil && *endpoint.JSON201.Rate == 2.5, err)
	fmt.Println("registered")

	fresh := made.RoomsNew{Name: "Oapi", Floor: ref(int64(71)), Rent: ref(34567.89)}
	created, err := client.RoomsCreateWithResponse(ctx, &made.RoomsCreateParams{}, fresh)
	check(err == nil && created.JSON201 != nil && *created.JSON201.Rent == 34567.89, err)
	id := *created.JSON201.Id
	fmt.Println("created")

	floors := []int64{71, 72}
	asked := made.RoomsListParams{FloorGte: ref(int64(71)), FloorIn: &floors, NameStartsWith: ref("Oa")}
	listed, err := client.RoomsListWithResponse(ctx, &asked)
	check(err == nil && listed.JSON200 != nil && len(listed.JSON200.Data) == 1, err)
	fmt.Println("listed")

	patch := made.RoomsPatch{Floor: ref(int64(73))}
	edited, err := client.RoomsEditWithResponse(ctx, id, &made.RoomsEditParams{}, patch)
	check(err == nil && edited.JSON200 != nil && *edited.JSON200.Floor == 73, err)
	fmt.Println("edited")

	gone, err := client.RoomsGetWithResponse(ctx, "nothing", &made.RoomsGetParams{})
	check(err == nil && gone.ApplicationproblemJSON404 != nil && gone.ApplicationproblemJSON404.Code == "not_found", err)
	wrong := made.RoomsPatch{Beside: ref("nothing")}
	invalid, err := client.RoomsEditWithResponse(ctx, id, &made.RoomsEditParams{}, wrong)
	check(err == nil && invalid.ApplicationproblemJSON422 != nil, err)
	fmt.Println("refused")

	deleted, err := client.RoomsDeleteWithResponse(ctx, id, &made.RoomsDeleteParams{})
	check(err == nil && deleted.StatusCode() == 204, err)
	fmt.Println("deleted")
}
