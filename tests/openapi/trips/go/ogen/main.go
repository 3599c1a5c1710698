// A round trip with the client that ogen makes, with URL and key.
package main

import (
	"context"
	"fmt"
	"net/url"
	"os"

	"github.com/go-faster/jx"

	made "trips/made_ogen"
)

func check(right bool, what any) {
	if !right {
		panic(fmt.Sprintf("%+v", what))
	}
}

type source string

func (key source) Key(context.Context, made.OperationName) (made.Key, error) {
	return made.Key{Token: string(key)}, nil
}

func main() {
	ctx := context.Background()
	client, err := made.NewClient(os.Args[1], source(os.Args[2]))
	check(err == nil, err)

	event := made.NewEvent{Type: "cars.sold", Data: made.NewEventData{"id": jx.Raw(`"c6"`), "price": jx.Raw("1234567.89")}}
	told, err := client.PublishEvent(ctx, &event, made.PublishEventParams{})
	check(err == nil, err)
	accepted, good := told.(*made.AcceptedHeaders)
	check(good, told)
	answer, err := client.GetEvent(ctx, made.GetEventParams{Event: accepted.Response.ID})
	check(err == nil, err)
	read, good := answer.(*made.EventDetailHeaders)
	check(good && string(read.Response.Data.Value["price"]) == "1234567.89", answer)
	fmt.Println("published")

	there, err := url.Parse("http://127.0.0.1:9/trip")
	check(err == nil, err)
	form := made.NewEndpoint{URL: *there, Events: []string{"cars.*"}, Rate: made.NewOptNilFloat64(2.5)}
	registered, err := client.CreateEndpoint(ctx, &form, made.CreateEndpointParams{})
	check(err == nil, err)
	endpoint, good := registered.(*made.CreateEndpointCreatedHeaders)
	check(good && endpoint.Response.Rate.Value == 2.5, registered)
	fmt.Println("registered")

	fresh := made.RoomsNew{Name: "Ogen", Floor: made.NewOptNilInt64(81), Rent: made.NewOptNilFloat64(34567.89)}
	made201, err := client.RoomsCreate(ctx, &fresh, made.RoomsCreateParams{})
	check(err == nil, err)
	room, good := made201.(*made.RoomsItemHeaders)
	check(good && room.Response.Rent.Value == 34567.89, made201)
	id := room.Response.ID.Value
	fmt.Println("created")

	asked := made.RoomsListParams{FloorGte: made.NewOptInt64(81), FloorIn: []int64{81, 82}, NameStartsWith: made.NewOptString("Og")}
	page, err := client.RoomsList(ctx, asked)
	check(err == nil, err)
	listed, good := page.(*made.RoomsPageHeaders)
	check(good && len(listed.Response.Data) == 1 && listed.Response.Data[0].ID.Value == id, page)
	fmt.Println("listed")

	patch := made.RoomsEditApplicationJSON{Floor: made.NewOptNilInt64(83)}
	edited, err := client.RoomsEdit(ctx, &patch, made.RoomsEditParams{ID: id})
	check(err == nil, err)
	changed, good := edited.(*made.RoomsPutOKHeaders)
	check(good && changed.Response.Floor.Value == 83, edited)
	fmt.Println("edited")

	gone, err := client.RoomsGet(ctx, made.RoomsGetParams{ID: "nothing"})
	check(err == nil, err)
	problem, good := gone.(*made.R404Headers)
	check(good && problem.Response.Code == "not_found" && problem.Response.Status == 404, gone)
	wrong := made.RoomsEditApplicationJSON{Beside: made.NewOptNilString("nothing")}
	refused, err := client.RoomsEdit(ctx, &wrong, made.RoomsEditParams{ID: id})
	check(err == nil, err)
	_, good = refused.(*made.R422Headers)
	check(good, refused)
	fmt.Println("refused")

	_, err = client.RoomsDelete(ctx, made.RoomsDeleteParams{ID: id})
	check(err == nil, err)
	fmt.Println("deleted")
}
