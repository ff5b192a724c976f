# frozen_string_literal: true

require_relative "config/environment"

$stdout.sync = true
puts "serving #{Shop.summary}"
run Rails.application
