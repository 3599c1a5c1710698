# frozen_string_literal: true

# Svix's SDK for Ruby against a server: `judge.rb URL KEY RECEIVER`. It prints each step that worked.
# After `sent` it reads what the receiver got, as one line of JSON, and verifies it.
require "json"
require "set"
require "svix"

$stdout.sync = true
url, key, receiver = ARGV
svix = Svix::Client.new(key, Svix::SvixOptions.new(false, url))

def is(met)
  raise "unexpected" unless met
end

app = svix.application.create(Svix::ApplicationIn.new(name: "App"))
is svix.application.get(app.id).name == "App"
puts "application"
%w[event.started event.ended].each do |name|
  svix.event_type.create(Svix::EventTypeIn.new(name: name, description: "Something"))
rescue Svix::ApiError => e
  is e.code == 409
end
puts "event types"
both = %w[ch0 ch1].to_set
types = %w[event.started event.ended]
endpoint = svix.endpoint.create(app.id, Svix::EndpointIn.new(url: receiver, channels: both.to_a))
is endpoint.channels.to_set == both && endpoint.event_types.nil?
patched = svix.endpoint.patch(app.id, endpoint.id, Svix::EndpointPatch.new(event_types: types))
is patched.channels.to_set == both && patched.event_types.to_set == types.to_set
puts "endpoint"
given = Svix::MessageIn.new(event_type: "event.started", payload: { "amount" => 12.5 }, channels: ["ch1"])
message = svix.message.create(app.id, given)
is message.channels == ["ch1"]
puts "sent"
got = JSON.parse($stdin.gets)
secret = svix.endpoint.get_secret(app.id, endpoint.id).key
Svix::Webhook.new(secret).verify(got["body"], got["headers"])
puts "verified"
attempts = []
attempts = svix.message_attempt.list_by_msg(app.id, message.id).data while attempts.empty?
is attempts[0].endpoint_id == endpoint.id
svix.message_attempt.resend(app.id, message.id, endpoint.id)
puts "attempts"
is svix.authentication.app_portal_access(app.id, Svix::AppPortalAccessIn.new).url.include?("/portal/")
puts "portal"
begin
  svix.endpoint.create(app.id, Svix::EndpointIn.new(url: "nonsense"))
  is false
rescue Svix::ApiError => e
  is e.code == 422
end
svix.endpoint.delete(app.id, endpoint.id)
svix.application.delete(app.id)
puts "deleted"
